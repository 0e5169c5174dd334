package export

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
)

// columns are a row's values as the server sent them, valid until the next row. They
// are decoded here, which for a row of twenty takes a fraction of what scanning them
// takes.
type columns struct {
	values [][]byte
	text   bool  // in the text format, as a server sends them to a pool that does not prepare statements
	err    error // the first value that was not what its column should have
}

func newColumns(rows pgx.Rows) columns {
	return columns{values: rows.RawValues(), text: rows.FieldDescriptions()[0].Format == pgx.TextFormatCode}
}

func (c *columns) row(times *asOfTimes) row {
	return row{live: c.bool(0), minor: int(c.int(1)), erased: c.bool(2), user: c.bool(3), team: c.bool(4),
		tierAt: uint64(c.int(5)), position: uint64(c.int(6)), parked: int(c.int(7)), dismissed: int(c.int(8)),
		pages: [3]int{int(c.int(9)), int(c.int(10)), int(c.int(11))}, partition: int(c.int(12)), tierPartition: int(c.int(13)), asOf: times}
}

// sections are the six columns from i on; next is the column after them.
func (c *columns) sections(i int) (s sections, next int) {
	return sections{user: c.bytes(i), team: c.bytes(i + 1), tier: c.bytes(i + 2),
		tails: [3][]byte{c.bytes(i + 3), c.bytes(i + 4), c.bytes(i + 5)}}, i + 6
}

func (c *columns) fail(i int) {
	if c.err == nil {
		c.err = fmt.Errorf("column %d is not what it should be: %d bytes", i, len(c.values[i]))
	}
}

func (c *columns) null(i int) bool { return c.values[i] == nil }

// bool is false for NULL.
func (c *columns) bool(i int) bool {
	v := c.values[i]
	return len(v) == 1 && (v[0] == 1 || v[0] == 't')
}

func (c *columns) int(i int) int64 {
	v := c.values[i]
	switch {
	case c.text:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			c.fail(i)
		}
		return n
	case len(v) == 8:
		return int64(binary.BigEndian.Uint64(v))
	case len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v)))
	case len(v) == 2:
		return int64(int16(binary.BigEndian.Uint16(v)))
	}
	c.fail(i)
	return 0
}

func (c *columns) uuid(i int) (id events.UUID) {
	v := c.values[i]
	if c.text {
		id, err := events.ParseUUID(string(v))
		if err != nil {
			c.fail(i)
		}
		return id
	}
	if copy(id[:], v) != len(id) {
		c.fail(i)
	}
	return id
}

func (c *columns) bytes(i int) []byte {
	if !c.text || c.values[i] == nil {
		return c.values[i]
	}
	return c.unescape(i, c.values[i])
}

// byteaArray is an array of bytea without NULLs.
func (c *columns) byteaArray(i int) (all [][]byte) {
	v := c.values[i]
	switch {
	case v == nil:
		return nil
	case c.text:
		return c.textArray(i, v)
	case len(v) == 12: // an array without dimensions is empty
		return nil
	case len(v) < 20:
		c.fail(i)
		return nil
	}
	all = make([][]byte, 0, min(maxWholePages, int(binary.BigEndian.Uint32(v[12:]))))
	for v = v[20:]; len(v) >= 4; {
		n := int(int32(binary.BigEndian.Uint32(v)))
		if n < 0 || n > len(v)-4 {
			c.fail(i)
			return nil
		}
		all, v = append(all, v[4:4+n]), v[4+n:]
	}
	return all
}

package readmodel

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/projections"
)

// Document is one account's export. A document with sealed pages holds a
// database connection until it is closed.
type Document struct {
	Meta
	body []byte // whole, where there are no pages

	user, team, tier       []byte
	usage, keys, sandboxes []byte

	lease   *lease // nil where there are no pages
	tx      pgx.Tx
	account events.UUID
	pageSQL string
}

var parts = [...]string{`{"user":`, `,"team":`, `,"quota_tier":`, `,"quota_usage":[`, `],"api_keys":[`, `],"sandboxes":[`, `]}`}

// Size is the exact length of the body in bytes, or -1 where it is not known
// before it is written.
func (d *Document) Size() int64 {
	if d.State != Complete || d.lease != nil {
		return -1
	}
	return int64(len(d.body))
}

// WriteTo writes the body, exactly as in contract §4: pages as they come from
// the database, one at a time in memory. After an error it is incomplete.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	if d.State != Complete {
		return 0, fmt.Errorf("account has no document: state %d", d.State)
	}
	if d.lease == nil {
		n, err := w.Write(d.body)
		return int64(n), err
	}
	c := &counter{w: w}
	c.write([]byte(parts[0]), d.user, []byte(parts[1]), d.team, []byte(parts[2]), d.tier)
	for i, s := range []struct {
		kind projections.SectionKind
		tail []byte
	}{{projections.UsageSection, d.usage}, {projections.KeySection, d.keys}, {projections.SandboxSection, d.sandboxes}} {
		c.write([]byte(parts[3+i]))
		if err := d.writeSection(c, s.kind, s.tail); err != nil {
			return c.n, err
		}
	}
	c.write([]byte(parts[6]))
	return c.n, c.err
}

func (d *Document) writeSection(c *counter, kind projections.SectionKind, tail []byte) error {
	d.lease.limit()
	rows, err := d.tx.Query(d.lease.ctx, d.pageSQL, [16]byte(d.account), int16(kind))
	if err != nil {
		return d.lease.failed(err)
	}
	defer rows.Close()
	comma := []byte{','}
	first := true
	for c.err == nil && d.next(rows) {
		if !first {
			c.write(comma)
		}
		first = false
		var body pgtype.DriverBytes // valid until the next row
		if err := rows.Scan(&body); err != nil {
			return d.lease.failed(err)
		}
		c.write(body)
	}
	if c.err != nil {
		d.lease.cancel() // what is left of the answer need not be read
		return c.err
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return d.lease.failed(err)
	}
	if len(tail) > 0 {
		if !first {
			c.write(comma)
		}
		c.write(tail)
	}
	return c.err
}

// next waits for the next page, no longer than a read may take. How long the
// reader takes for each does not count.
func (d *Document) next(rows pgx.Rows) bool {
	d.lease.limit()
	defer d.lease.timer.Stop()
	return rows.Next()
}

// Close gives back what the document holds.
func (d *Document) Close() {
	if d.lease == nil {
		return
	}
	rollback(d.lease.ctx, d.tx)
	d.lease.release()
	d.lease, d.tx = nil, nil
}

func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // the connection is dropped where this fails
}

// counter writes until the first error.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) write(parts ...[]byte) {
	for _, p := range parts {
		if c.err != nil {
			return
		}
		n, err := c.w.Write(p)
		c.n, c.err = c.n+int64(n), err
	}
}

package acts

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// spoolFile holds messages in the order in which they were added, in a file without a
// name: the operating system removes it when the process ends, however that happens. It
// is written, and then read once.
type spoolFile struct {
	file *os.File
	out  *bufio.Writer
	size int64 // bytes added
	buf  []byte
}

// spoolBuffer is how much of a file is in memory while it is written or read.
const spoolBuffer = 64 << 10

func newSpoolFile() (*spoolFile, error) {
	f, err := os.CreateTemp("", "accountexport-rebuild-")
	if err == nil {
		if err = os.Remove(f.Name()); err != nil {
			_ = f.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keep messages for later passes: %w", err)
	}
	return &spoolFile{file: f, out: bufio.NewWriterSize(f, spoolBuffer)}, nil
}

func (f *spoolFile) close() { _ = f.file.Close() }

// spoolHead is the length of what stands before each message: how long it is, and its
// checksum, since a disk may give back other bytes than it was given.
const spoolHead = 8

var spoolChecksum = crc32.MakeTable(crc32.Castagnoli)

// add appends a message.
func (f *spoolFile) add(m *projections.Message) error {
	b := encodeSpooled(append(f.buf[:0], make([]byte, spoolHead)...), m)
	binary.LittleEndian.PutUint32(b, uint32(len(b)-spoolHead))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[spoolHead:], spoolChecksum))
	f.buf = b
	f.size += int64(len(b))
	if _, err := f.out.Write(b); err != nil {
		return fmt.Errorf("keep messages for later passes: %w", err)
	}
	return nil
}

// encodeSpooled appends all that a message is. Its data come last, without their length.
func encodeSpooled(b []byte, m *projections.Message) []byte {
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(b, m.Position)
	b = binary.AppendVarint(b, m.Time.UnixNano())
	b = binary.AppendVarint(b, int64(m.Partition))
	text(m.Subject)
	b = binary.AppendUvarint(b, uint64(len(m.Header)))
	for name, values := range m.Header {
		text(name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			text(v)
		}
	}
	return append(b, m.Data...)
}

var errSpoolDamaged = errors.New("messages that were kept for this pass cannot be read back: has the disk failed? `projector rebuild` goes on from the checkpoint")

// decodeSpooled is the message that encodeSpooled has written. It keeps b.
func decodeSpooled(b []byte) (m projections.Message, err error) {
	bad := false
	count := func() uint64 {
		v, n := binary.Uvarint(b)
		if bad = bad || n <= 0; bad {
			return 0
		}
		b = b[n:]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b)
		if bad = bad || n <= 0; bad {
			return 0
		}
		b = b[n:]
		return v
	}
	text := func() string {
		n := count()
		if bad = bad || n > uint64(len(b)); bad {
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	m.Position, m.Time, m.Partition = count(), time.Unix(0, signed()), int(signed())
	m.Subject = text()
	if n := count(); n > 0 && !bad {
		m.Header = map[string][]string{}
		for ; n > 0 && !bad; n-- {
			name := text()
			var values []string
			for k := count(); k > 0 && !bad; k-- {
				values = append(values, text())
			}
			m.Header[name] = values
		}
	}
	if bad {
		return m, errSpoolDamaged
	}
	m.Data = b
	return m, nil
}

// read begins to read what was added, from the first message on. Nothing may be added
// any more.
func (f *spoolFile) read() (*spoolFileReader, error) {
	err := f.out.Flush()
	if err == nil {
		_, err = f.file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("keep messages for later passes: %w", err)
	}
	return &spoolFileReader{file: f, in: bufio.NewReaderSize(f.file, spoolBuffer)}, nil
}

// spoolFileReader reads a file back. It returns no message, and no error, where none is
// left.
type spoolFileReader struct {
	file *spoolFile
	in   *bufio.Reader
	read int64
}

// Close implements [engine.Reader]; the file is closed by whoever has it.
func (r *spoolFileReader) Close() {}

// Next implements [engine.Reader], but for the end.
func (r *spoolFileReader) Next(_ context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	start, size := len(buf), 0
	for r.read < r.file.size && (len(buf) == start || len(buf)-start < bound.Events && size < bound.Bytes) {
		var head [spoolHead]byte
		if _, err := io.ReadFull(r.in, head[:]); err != nil {
			return buf, fmt.Errorf("%w: %w", errSpoolDamaged, err)
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		if r.read += spoolHead + n; r.read > r.file.size {
			return buf, errSpoolDamaged
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r.in, b); err != nil {
			return buf, fmt.Errorf("%w: %w", errSpoolDamaged, err)
		}
		if crc32.Checksum(b, spoolChecksum) != binary.LittleEndian.Uint32(head[4:]) {
			return buf, errSpoolDamaged
		}
		m, err := decodeSpooled(b)
		if err != nil {
			return buf, err
		}
		buf, size = append(buf, m), size+m.Size()
	}
	return buf, nil
}

package console

import (
	"fmt"
	"os"
)

// storeMemory is how many bytes of entries are kept in memory; the rest is in a file.
const storeMemory = 4 << 20

// entryStore keeps encoded entries: the first few megabytes in memory, and what is
// beyond them in a file without a name. The operating system removes that when it is
// closed or the program ends, however it ends. What close gives back is overwritten in
// memory; on the disk it is free, and overwritten when the file system uses it again.
type entryStore struct {
	first []byte
	file  *os.File // nil while everything is in memory
	end   int64    // bytes of all entries
}

func (s *entryStore) memory() int { return cap(s.first) }

// append keeps an entry, and tells where.
func (s *entryStore) append(b []byte) (at int64, err error) {
	at = s.end
	if s.file == nil && len(s.first)+len(b) <= storeMemory {
		s.first = append(s.first, b...)
		s.end += int64(len(b))
		return at, nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "accountexport-console-")
		if err == nil {
			err = os.Remove(f.Name())
		}
		if err != nil {
			return 0, fmt.Errorf("keep a history that memory has no room for: %w", err)
		}
		s.file = f
	}
	if _, err := s.file.WriteAt(b, at-int64(len(s.first))); err != nil {
		return 0, fmt.Errorf("keep a history that memory has no room for: %w", err)
	}
	s.end += int64(len(b))
	return at, nil
}

// read gives an entry, which is valid until the next call of append or close.
func (s *entryStore) read(at int64, size int) ([]byte, error) {
	if at+int64(size) <= int64(len(s.first)) {
		return s.first[at : at+int64(size)], nil
	}
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, at-int64(len(s.first))); err != nil {
		return nil, fmt.Errorf("read a history back: %w", err)
	}
	return b, nil
}

func (s *entryStore) close() {
	if s.file != nil {
		_ = s.file.Close() // it has no name, so it is gone
	}
	clear(s.first[:cap(s.first)])
	s.first, s.file, s.end = nil, nil, 0
}

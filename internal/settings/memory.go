package settings

import "fmt"

// What the API's memory is used for: a connection, with what is being sent on it,
// takes about 32 KiB, and a quarter is the program's own.
const (
	minAPIMemory    = 64 << 20
	maxConnections  = 10_000
	connectionBytes = 32 << 10
)

// deriveMemory derives the number of connections from API_MEMORY_LIMIT, half of which
// they may take unless MAX_CONNECTIONS is set.
func (s *API) deriveMemory(values map[string]string, container containerFunc) []error {
	if s.MemoryLimit == 0 {
		return nil // invalid, which was reported
	}
	var err error
	if s.Memory, err = originOf("API_MEMORY_LIMIT", values, &s.MemoryLimit, minAPIMemory, container); err != nil {
		return []error{err}
	}
	if s.MemoryLimit < minAPIMemory {
		return []error{problem(ForAPI, "API_MEMORY_LIMIT", values, nil)}
	}
	if s.MaxConnections == 0 && values["MAX_CONNECTIONS"] == "" {
		s.MaxConnections = PositiveCount(min(maxConnections, s.MemoryLimit/2/connectionBytes))
	}
	if most := s.MemoryLimit * 5 / 8 / connectionBytes; Bytes(s.MaxConnections) > most {
		return []error{fmt.Errorf("API_MEMORY_LIMIT is %d bytes, too little for MAX_CONNECTIONS, %d: it has room for %d; "+
			"raise the limit, or lower or leave out the other", s.MemoryLimit, s.MaxConnections, most)}
	}
	return nil
}

// SpoolMemory returns how many bytes connections leave for documents that are being
// sent.
func (s *API) SpoolMemory() int64 {
	return int64(s.MemoryLimit)*3/4 - int64(s.MaxConnections)*connectionBytes
}

// minMemory is what a projector needs with the smallest bounds.
const minMemory = 128 << 20

// deriveMemory derives the bounds for which MEMORY_LIMIT has room. There are two
// copies of a batch, one being folded into and one being committed, and a batch is
// copied when it is written.
func (s *Projector) deriveMemory(values map[string]string, container containerFunc) []error {
	if s.MemoryLimit == 0 {
		return nil // invalid, which was reported
	}
	var err error
	if s.Memory, err = originOf("MEMORY_LIMIT", values, &s.MemoryLimit, minMemory, container); err != nil {
		return []error{err}
	}
	if s.MemoryLimit < minMemory {
		return []error{problem(ForProjector, "MEMORY_LIMIT", values, nil)}
	}
	if s.StateCacheBytes == 0 && values["STATE_CACHE_BYTES"] == "" {
		s.StateCacheBytes = s.MemoryLimit / 4
	}
	if s.BatchBytes == 0 && values["BATCH_BYTES"] == "" {
		s.BatchBytes = s.MemoryLimit / 10
	}
	if s.StateCacheBytes > s.MemoryLimit/2 || s.BatchBytes > (s.MemoryLimit/2-s.StateCacheBytes)/2 {
		return []error{fmt.Errorf("MEMORY_LIMIT is %d bytes, too little for STATE_CACHE_BYTES, %d, and twice BATCH_BYTES, %d: "+
			"together they may be half of it; raise the limit, or lower or leave out the others", s.MemoryLimit, s.StateCacheBytes, s.BatchBytes)}
	}
	return nil
}

// Divide divides the memory among so many programs that work together, this one
// included.
func (s *Projector) Divide(programs int) error {
	n := Bytes(programs)
	if s.MemoryLimit/n < minMemory {
		return fmt.Errorf("MEMORY_LIMIT, %d bytes, is divided among them, and each needs %d at least: raise the limit, or have fewer", s.MemoryLimit, int64(minMemory))
	}
	s.MemoryLimit, s.StateCacheBytes, s.BatchBytes = s.MemoryLimit/n, s.StateCacheBytes/n, s.BatchBytes/n
	return nil
}

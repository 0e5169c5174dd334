package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sort"
	"sync"

	"accountexport/projections"
	"accountexport/projections/internal/script"
)

// memorySource is a stream in memory. With random, every read returns a random part of what
// is ready.
type memorySource struct {
	faults *faults // nil: none
	random *random // nil: a read returns all that is ready

	mu       sync.Mutex
	messages []projections.Message
	info     StreamInfo
	grown    chan struct{} // closed when messages are added
	silent   int           // readers that deliver nothing, from the next one opened
	opened   int
	readers  []*memoryReader
}

const testPartitions = 4

func newMemorySource(messages []projections.Message) *memorySource {
	s := &memorySource{grown: make(chan struct{}), info: StreamInfo{Name: "TEST", Created: script.Start, First: 1,
		Partitions: testPartitions}}
	s.add(messages...)
	return s
}

func (s *memorySource) add(messages ...projections.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, messages...)
	if n := len(s.messages); n > 0 {
		s.info.Last, s.info.Time = s.messages[n-1].Position, s.messages[n-1].Time
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *memorySource) Info(context.Context) (StreamInfo, error) {
	if err := s.faults.at("info"); err != nil {
		return StreamInfo{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info, nil
}

// after is the index of the first message after the position.
func (s *memorySource) after(position uint64) int {
	return sort.Search(len(s.messages), func(i int) bool { return s.messages[i].Position > position })
}

func (s *memorySource) FirstAfter(_ context.Context, after uint64) (uint64, bool, error) {
	if err := s.faults.at("first"); err != nil {
		return 0, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.after(after); i < len(s.messages) {
		return s.messages[i].Position, true, nil
	}
	return 0, false, nil
}

func (s *memorySource) At(_ context.Context, position uint64) (projections.Message, bool, error) {
	if err := s.faults.at("at"); err != nil {
		return projections.Message{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.after(position - 1); i < len(s.messages) && s.messages[i].Position == position {
		return s.messages[i], true, nil
	}
	return projections.Message{}, false, nil
}

func (s *memorySource) Open(_ context.Context, after uint64) (Reader, error) {
	if err := s.faults.at("open"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	r := &memoryReader{source: s, after: after, closed: make(chan struct{})}
	s.readers = append(s.readers, r)
	if r.silent = s.silent > 0; r.silent {
		s.silent--
	}
	return r, nil
}

type memoryReader struct {
	source *memorySource
	after  uint64
	silent bool
	once   sync.Once
	closed chan struct{}
}

var errClosed = errors.New("reader closed")

func (r *memoryReader) Next(ctx context.Context, buf []projections.Message, bound Bound) ([]projections.Message, error) {
	for {
		select {
		case <-r.closed:
			return nil, errClosed
		default:
		}
		if err := r.source.faults.at("next"); err != nil {
			return nil, err
		}
		r.source.mu.Lock()
		ready, grown := r.source.messages[r.source.after(r.after):], r.source.grown
		r.source.mu.Unlock()
		if len(ready) > 0 && !r.silent {
			n := max(1, min(len(ready), bound.Events))
			if r.source.random != nil {
				n = 1 + r.source.random.IntN(n)
			}
			size := 0
			for i := range n {
				if size += ready[i].Size(); size > bound.Bytes && i > 0 {
					n = i
					break
				}
			}
			r.after = ready[n-1].Position
			return append(buf, ready[:n]...), nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.closed:
			return nil, errClosed
		}
	}
}

func (r *memoryReader) Close() { r.once.Do(func() { close(r.closed) }) }

// random is a random generator that several goroutines may use.
type random struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newRandom(seed uint64) *random { return &random{r: rand.New(rand.NewPCG(seed, seed))} }

func (r *random) IntN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n)
}

// faults make calls fail at random: each kind of call about once at least, and all together
// a limited number of times.
type faults struct {
	random *random
	in     int // one call in so many fails

	mu   sync.Mutex
	left int
	seen map[string]int
}

var errFault = errors.New("a fault of the test")

func newFaults(r *random, in, most int) *faults {
	return &faults{random: r, in: in, left: most, seen: map[string]int{}}
}

func (f *faults) at(call string) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen[call] == 0 && f.random.IntN(3) > 0 || f.seen[call] > 0 && (f.left == 0 || f.random.IntN(f.in) > 0) {
		return nil
	}
	f.left = max(f.left-1, 0)
	f.seen[call]++
	if call == "commit" && f.seen[call] == 1 {
		return ErrFenced
	}
	return errFault
}

// observer records what the engine reports.
type observer struct {
	mu        sync.Mutex
	counts    map[projections.TypeOutcome]int64
	events    int
	restarts  []string
	failures  []Failure
	samples   int
	pauses    int
	info      StreamInfo
	committed chan struct{} // holds a value after a commit
}

func newObserver() *observer {
	return &observer{counts: map[projections.TypeOutcome]int64{}, committed: make(chan struct{}, 1)}
}

func (o *observer) Committed(s BatchStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, n := range s.Counts {
		o.counts[k] += n
	}
	o.events += s.Events
	select {
	case o.committed <- struct{}{}:
	default:
	}
}

func (o *observer) StreamEnd(StreamInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.samples++
}

func (o *observer) Assigned(int64, []int) {}

func (o *observer) Paused(p *Pause, info StreamInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pauses++
	if o.info = info; p == nil {
		o.pauses = 0
	}
}

// paused is how often a pause was reported since the last resumption, and what was last
// reported of the stream.
func (o *observer) paused() (int, StreamInfo) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pauses, o.info
}

func isPaused(err error) bool { return errors.Is(err, ErrPaused) }

func (o *observer) Restarted(f Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.restarts = append(o.restarts, f.Reason)
	o.failures = append(o.failures, f)
}

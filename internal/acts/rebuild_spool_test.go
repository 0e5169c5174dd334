package acts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"accountexport/internal/local/testrun"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// sliceSource is a stream in memory. A read at its end waits until its context ends.
type sliceSource struct {
	engine.Source
	rng      *rand.Rand
	messages []projections.Message
	read     int
}

func (s *sliceSource) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &sliceReader{s, after}, nil
}

type sliceReader struct {
	*sliceSource
	at uint64
}

func (r *sliceReader) Close() {}

func (r *sliceReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	i := slices.IndexFunc(r.messages, func(m projections.Message) bool { return m.Position > r.at })
	if i < 0 {
		<-ctx.Done()
		return buf, ctx.Err()
	}
	n := min(1+r.rng.IntN(bound.Events), len(r.messages)-i)
	r.at = r.messages[i+n-1].Position
	r.read += n
	return append(buf, r.messages[i:i+n]...), nil
}

const spoolPartitions = 7

// spooledStream is a stream with gaps, and with messages of every form: with and without
// headers, data and a partition's token.
func spooledStream(rng *rand.Rand, n int) *sliceSource {
	s := &sliceSource{rng: rng}
	position := uint64(0)
	for i := range n {
		position += uint64(1 + rng.IntN(3)/2)
		m := projections.Message{Position: position, Time: time.Unix(0, rng.Int64N(1<<60)), Partition: rng.IntN(3) - 1}
		m.Subject = fmt.Sprintf("controlplane.account.%d", rng.IntN(50))
		m.Data = []byte(fmt.Sprint("message ", i))[:rng.IntN(9)]
		for range rng.IntN(3) {
			if m.Header == nil {
				m.Header = map[string][]string{}
			}
			m.Header[fmt.Sprint("Name-", rng.IntN(4))] = make([]string, 1+rng.IntN(2))
		}
		s.messages = append(s.messages, m)
	}
	return s
}

var spooledIdentity = engine.StreamIdentity{Partitions: spoolPartitions}

// ofPass are the messages of these partitions after a position.
func (s *sliceSource) ofPass(partitions []int, after uint64) (out []projections.Message) {
	for _, m := range s.messages {
		if m.Position > after && slices.Contains(partitions, spooledIdentity.PartitionOf(&m)) {
			out = append(out, m)
		}
	}
	return out
}

// pass reads a pass to the end of the stream, as an engine does, and returns its own messages.
func (s *sliceSource) pass(t *testing.T, from *spool, partitions []int, after uint64, bound engine.Bound) (out []projections.Message) {
	t.Helper()
	r, err := from.Open(t.Context(), after)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	end := s.messages[len(s.messages)-1].Position
	for at := after; at < end; {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		buf, err := r.Next(ctx, nil, bound)
		cancel()
		if err != nil {
			t.Fatalf("after %d of %d: %v", at, end, err)
		}
		for _, m := range buf {
			if m.Position <= at {
				t.Fatalf("position %d follows %d", m.Position, at)
			}
			at = m.Position
			if slices.Contains(partitions, spooledIdentity.PartitionOf(&m)) {
				out = append(out, m)
			}
		}
	}
	return out
}

// TestPassesReadWhatTheyNeed: whatever the files have room for, every pass is given all
// messages of its partitions as they are in the stream, in order, and is told how far
// reading has come. With room for all, the stream is read once.
func TestPassesReadWhatTheyNeed(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 7))
	for range 60 {
		s := spooledStream(rng, 1+rng.IntN(400))
		order := rng.Perm(spoolPartitions)
		passes := slices.Collect(slices.Chunk(order, 1+rng.IntN(spoolPartitions)))
		room := []int64{0, 1, 5000, 1 << 30}[rng.IntN(4)]
		end := s.messages[len(s.messages)-1].Position
		var starts []uint64
		for range passes { // some passes were begun before, and cut off
			starts = append(starts, uint64(rng.IntN(2)*rng.IntN(3))*end/4)
		}
		spool := newSpool(s, spooledIdentity, passes, starts, room, slog.New(slog.DiscardHandler))
		for i, partitions := range passes {
			spool.pass = i
			after := min(starts[i]+uint64(rng.IntN(2)*rng.IntN(20)), end) // this pass's partitions may be further on by now
			got := s.pass(t, spool, partitions, after, engine.Bound{Events: 1 + rng.IntN(50), Bytes: 1 << 20})
			if diff := cmp.Diff(s.ofPass(partitions, after), got); diff != "" {
				t.Fatalf("room %d, pass %d of %v after %d: %s", room, i, passes, after, diff)
			}
		}
		if slices.Max(starts) == slices.Min(starts) && room == 1<<30 && s.read > len(s.messages) {
			t.Errorf("%d messages were read of a stream of %d, in %d passes", s.read, len(s.messages), len(passes))
		}
		spool.giveUp()
	}
}

// TestAPassGoesOnWhereItWasCutOff: a pass reads nothing that it has folded already, though later
// passes are still to read it. So each attempt comes further than the one before, however often
// erasures fence a rebuild; and later passes share what the first of them reads.
func TestAPassGoesOnWhereItWasCutOff(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 10))
	s := spooledStream(rng, 300)
	passes := [][]int{{0, 1}, {2, 3}, {4, 5, 6}}
	cut := s.messages[250].Position
	starts := []uint64{cut, 0, 0}
	spool := newSpool(s, spooledIdentity, passes, starts, 1<<30, slog.New(slog.DiscardHandler))
	for i, read := range []int{49, 49 + 300, 49 + 300} {
		spool.pass = i
		got := s.pass(t, spool, passes[i], starts[i], engine.Bound{Events: 50, Bytes: 1 << 20})
		if diff := cmp.Diff(s.ofPass(passes[i], starts[i]), got); diff != "" {
			t.Errorf("pass %d: %s", i, diff)
		}
		if s.read != read {
			t.Errorf("after pass %d, %d messages were read, want %d", i, s.read, read)
		}
	}
}

// TestErasureBetweenPasses: where somebody has moved an epoch on since, nothing that was
// kept is handed out.
func TestErasureBetweenPasses(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 8))
	s := spooledStream(rng, 300)
	passes := [][]int{{0, 1}, {2, 3}, {4, 5, 6}}
	spool := newSpool(s, spooledIdentity, passes, make([]uint64, len(passes)), 1<<30, slog.New(slog.DiscardHandler))
	moved := int64(0)
	spool.disturbed = func() int64 { return moved }
	for i, partitions := range passes {
		if spool.pass = i; i == 1 {
			moved++
			s.messages = slices.DeleteFunc(s.messages, func(m projections.Message) bool { return m.Subject == "controlplane.account.7" })
		}
		if diff := cmp.Diff(s.ofPass(partitions, 0), s.pass(t, spool, partitions, 0, engine.Bound{Events: 50, Bytes: 1 << 20})); diff != "" {
			t.Errorf("pass %d: %s", i, diff)
		}
	}
}

// TestPassesWithoutADisk: where nothing can be kept, each pass reads the stream.
func TestPassesWithoutADisk(t *testing.T) {
	t.Setenv("TMPDIR", "/no/such/folder")
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 9))
	s := spooledStream(rng, 300)
	passes := [][]int{{0, 1}, {2, 3}, {4, 5, 6}}
	spool := newSpool(s, spooledIdentity, passes, make([]uint64, len(passes)), 1<<30, slog.New(slog.DiscardHandler))
	for i, partitions := range passes {
		spool.pass = i
		if diff := cmp.Diff(s.ofPass(partitions, 0), s.pass(t, spool, partitions, 0, engine.Bound{Events: 50, Bytes: 1 << 20})); diff != "" {
			t.Errorf("pass %d: %s", i, diff)
		}
	}
	if s.read != len(passes)*len(s.messages) {
		t.Errorf("%d messages were read", s.read)
	}
}

// TestDamagedSpoolIsNoticed: a file that is cut, or of which a bit is another one, gives the messages
// before that as they were, and then an error.
func TestDamagedSpoolIsNoticed(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(testrun.Seed(t), 11))
	messages := spooledStream(rng, 20).messages
	for round := range 300 {
		f, err := newSpoolFile()
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			if err := f.add(&messages[i]); err != nil {
				t.Fatal(err)
			}
		}
		in, err := f.read()
		if err != nil {
			t.Fatal(err)
		}
		at := rng.Int64N(f.size)
		var b [1]byte
		if round%2 == 0 {
			err = f.file.Truncate(at)
		} else if _, err = f.file.ReadAt(b[:], at); err == nil {
			_, err = f.file.WriteAt([]byte{b[0] ^ 1<<rng.IntN(8)}, at)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := in.Next(t.Context(), nil, engine.Bound{Events: len(messages) + 1, Bytes: 1 << 20})
		if !errors.Is(err, errSpoolDamaged) {
			t.Fatalf("damaged at %d of %d: %d messages, %v", at, f.size, len(got), err)
		}
		if diff := cmp.Diff(messages[:len(got)], got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("damaged at %d of %d: %s", at, f.size, diff)
		}
		f.close()
	}
}

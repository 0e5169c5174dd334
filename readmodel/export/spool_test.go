package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/events"
)

// free waits until all room is free and no spool is left.
func (s *spoolCache) free(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		all, idle := len(s.spools), len(s.idle)
		s.mu.Unlock()
		s.budget.mu.Lock()
		left := grant{memory: s.budget.total.memory - s.budget.freeMemory, files: s.budget.total.files - s.budget.freeFiles}
		s.budget.mu.Unlock()
		if all == 0 && idle == 0 && left == (grant{}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d documents, %d idle, hold %+v", all, idle, left)
		}
	}
}

// TestWhoLeavesBeforeTheDocumentBegins: a reader that leaves before the document
// begins ends the writer, and what the writer was granted is given back.
func TestWhoLeavesBeforeTheDocumentBegins(t *testing.T) {
	for _, limits := range []Limits{{Memory: 100}, {Files: 100, Dir: t.TempDir()}} {
		s := newSpoolCache(limits, time.Hour)
		goOn, ended := make(chan struct{}), make(chan error)
		p, _ := s.join(version{tag: "1"}, func(ctx context.Context, p *spool) {
			<-goOn
			g, _ := s.budget.tryAcquire(100)
			err := p.begin(Meta{}, 100, g)
			if err == nil {
				err = p.put(make([]byte, 100))
			}
			ended <- p.end(err)
		})
		p.removeReader()
		if len(s.idle) != 0 || len(s.spools) != 0 {
			t.Errorf("%d of %d are idle", len(s.idle), len(s.spools))
		}
		s.expire(p)
		if g, ok := s.reclaim(); ok {
			t.Errorf("%+v was got back", g)
		}
		close(goOn)
		if err := <-ended; !errors.Is(err, errAbandoned) {
			t.Error(err)
		}
		s.free(t)
	}
}

// TestWhatIsBeingWrittenIsNotReclaimed: a spool that is being written is not
// reclaimed, though all of it was read. It is idle once the writer has ended, and then
// a read that waits has its room at once.
func TestWhatIsBeingWrittenIsNotReclaimed(t *testing.T) {
	s := newSpoolCache(Limits{Memory: 100}, time.Hour)
	whole, goOn := make(chan struct{}), make(chan struct{})
	p, _ := s.join(version{tag: Meta{}.ETag()}, func(ctx context.Context, p *spool) {
		g, _ := s.budget.tryAcquire(100)
		_ = p.end(errors.Join(p.begin(Meta{}, 100, g), p.put(make([]byte, 100))))
		close(whole)
		<-goOn
	})
	<-whole
	if n, err := p.write(t.Context(), io.Discard, 0, 100); n != 100 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	p.removeReader()
	s.expire(p)
	if _, ok := s.budget.tryAcquire(1); ok {
		t.Error("it was got back")
	}
	taken := make(chan error)
	go func() {
		g, err := s.budget.acquire(t.Context(), events.UUID{}, 100)
		s.budget.release(g)
		taken <- err
	}()
	close(goOn)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	s.free(t)
}

// TestPanicOfTheWriterIsAnErrorForReaders: a panic of the writer is an error for the
// spool's readers, and nothing worse.
func TestPanicOfTheWriterIsAnErrorForReaders(t *testing.T) {
	s := newSpoolCache(Limits{Memory: 100}, time.Hour)
	for _, begin := range []bool{false, true} {
		p, _ := s.join(version{}, func(ctx context.Context, p *spool) {
			if begin {
				g, _ := s.budget.tryAcquire(100)
				_ = p.begin(Meta{}, 100, g)
			}
			panic("a defect")
		})
		err := p.await(t.Context())
		if err == nil {
			_, err = p.awaitBeyond(t.Context(), 0)
		}
		if err == nil || !strings.Contains(err.Error(), "a defect") {
			t.Error(err)
		}
		p.removeReader()
		s.free(t)
	}
}

// TestRoomComesBackWhateverTheOrder: all room is free in the end, in whatever order
// readers come and leave, writers end, and others want the room.
func TestRoomComesBackWhateverTheOrder(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(300) {
		limits := Limits{Memory: 1500, Files: 1000, Dir: dir}
		s := newSpoolCache(limits, time.Duration(seed%3)*time.Millisecond)
		pause := func(r *rand.Rand) {
			if n := r.IntN(4); n > 0 {
				time.Sleep(time.Duration(r.IntN(300*n)) * time.Microsecond)
			}
		}
		var all sync.WaitGroup
		for reader := range uint64(6) {
			all.Go(func() {
				r := rand.New(rand.NewPCG(seed, reader))
				for range 6 {
					key := version{tag: fmt.Sprintf(`"0.%d-0-0"`, r.IntN(3))}
					order, size := r.Uint64(), 100*(1+r.Int64N(6))
					p, _ := s.join(key, func(ctx context.Context, p *spool) {
						r := rand.New(rand.NewPCG(order, 0))
						var m Meta
						_, _ = fmt.Sscanf(key.tag, `"0.%d-`, &m.Minor)
						pause(r)
						g, err := s.budget.acquire(ctx, events.UUID{byte(r.IntN(3))}, size)
						if err == nil {
							pause(r)
							err = p.begin(m, size, g)
						}
						for n := int64(0); err == nil && n < size; n += 100 {
							pause(r)
							err = p.put(make([]byte, 100))
							switch r.IntN(40) {
							case 0:
								err = errors.New("lost")
							case 1:
								panic("a defect")
							}
						}
						_ = p.end(err)
						pause(r)
					})
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(3000))*time.Microsecond)
					if err := p.await(ctx); err == nil {
						n, err := p.write(ctx, io.Discard, 0, p.size)
						if err == nil && n != p.size {
							t.Errorf("%d bytes of %d", n, p.size)
						}
					}
					cancel()
					p.removeReader()
					switch r.IntN(3) {
					case 0:
						s.expire(p)
					case 1:
						s.budget.redispatch()
						s.budget.mu.Lock()
						g, _ := s.reclaim()
						s.budget.freeMemory, s.budget.freeFiles = s.budget.freeMemory+g.memory, s.budget.freeFiles+g.files
						s.budget.dispatch()
						s.budget.mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		s.free(t)
	}
}

// TestWritingToAFileTakesAPieceOfMemory: writing to a file takes a piece of memory at
// most, and none where the whole document is there.
func TestWritingToAFileTakesAPieceOfMemory(t *testing.T) {
	s := newSpoolCache(Limits{Files: 4 << 20, Dir: t.TempDir()}, 0)
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	check := func(p *spool) {
		t.Helper()
		var b bytes.Buffer
		if _, err := p.write(t.Context(), &b, 0, p.size); err != nil || !bytes.Equal(b.Bytes(), content) {
			t.Errorf("%d bytes of %d are others, or %v", b.Len(), len(content), err)
		}
		if p.piece != nil {
			t.Errorf("a piece of %d bytes is left", cap(p.piece))
		}
		p.removeReader()
		s.free(t)
	}
	p, err := s.insert(events.UUID{}, readResult{body: content}, grant{})
	if err != nil {
		t.Fatal(err)
	}
	check(p)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := s.newUnshared(version{})
		g, _ := s.budget.tryAcquire(int64(len(content)))
		if err := p.begin(Meta{}, int64(len(content)), g); err != nil {
			t.Fatal(err)
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), r.IntN([]int{3, 5000, pieceSize, 2*pieceSize + 2}[r.IntN(4)]))
			if err := p.put(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			if cap(p.piece) > pieceSize || p.written-p.filled > pieceSize {
				t.Fatalf("the piece has %d bytes, and %d of %d are shown", cap(p.piece), p.filled, p.written)
			}
		}
		if err := p.end(nil); err != nil {
			t.Fatal(err)
		}
		check(p)
	}
}

package engine

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/internal/script"
)

// harness is a projector with a source and a store in memory. Tests use it within a
// synctest bubble, whose clock advances when every goroutine waits.
type harness struct {
	source *memorySource
	store  *memoryStore
	watch  *observer
	opt    Options
	ended  chan error
}

func newHarness(t *testing.T, messages []projections.Message) *harness {
	e := &harness{source: newMemorySource(messages), store: newMemoryStore(t), watch: newObserver(), ended: make(chan error, 1)}
	e.opt = Options{Observer: e.watch, Logger: slog.New(slog.DiscardHandler)}
	return e
}

func (e *harness) projector() *Projector { return New(e.source, e.store, e.opt) }

// run starts Run. stop ends its context and returns its result.
func (e *harness) run(t *testing.T) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	go func() { e.ended <- e.projector().Run(ctx) }()
	return func() error {
		cancel()
		return <-e.ended
	}
}

func (o *observer) reasons() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]int{}
	for _, r := range o.restarts {
		out[r]++
	}
	return out
}

// TestStalledReadingStartsAnew has the first two readers deliver nothing while messages
// wait. The session is restarted each time, until a reader delivers.
func TestStalledReadingStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newHarness(t, newGenerator(1, 2).stream(50))
		e.source.silent = 2
		stop := e.run(t)
		e.store.wait(e.source.info.Last)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := e.watch.reasons(); got["stalled"] != 2 || len(got) != 1 {
			t.Errorf("restarts %v, want two that are stalled", got)
		}
		newReferenceModel(t, e.source.messages).check(t, e.store)
	})
}

// TestIdleStreamIsNotStalled follows a stream without new messages for an hour: nothing is
// restarted, and the checkpoints' "as of" keeps up with the stream's clock.
func TestIdleStreamIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newHarness(t, newGenerator(1, 2).stream(50))
		stop := e.run(t)
		e.store.wait(e.source.info.Last)
		e.source.mu.Lock()
		e.source.info.Time = script.Start.Add(240 * time.Hour)
		e.source.mu.Unlock()
		<-time.After(time.Hour)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := e.watch.reasons(); len(got) > 0 {
			t.Errorf("restarts %v", got)
		}
		if e.watch.samples < 3600 {
			t.Errorf("looked at the stream %d times in an hour, want each second", e.watch.samples)
		}
		for _, c := range e.store.checkpoints {
			if !c.AsOf.Equal(e.source.info.Time) {
				t.Errorf("partition %d is as of %s, want %s", c.Partition, c.AsOf, e.source.info.Time)
			}
		}
	})
}

// TestPurgedEnd purges the stream's last messages, all of them, or those in the middle: the
// checkpoints still reach the last position given out.
func TestPurgedEnd(t *testing.T) {
	all := newGenerator(1, 2).stream(60)
	for name, left := range map[string][]projections.Message{
		"the last ones":     all[:40],
		"all":               nil,
		"those in between":  append(append([]projections.Message(nil), all[:10]...), all[50:]...),
		"all but the first": all[:1],
	} {
		t.Run(name, func(t *testing.T) {
			last := all[len(all)-1].Position
			purged := func(t *testing.T) *harness {
				e := newHarness(t, left)
				e.source.info.Last = last
				return e
			}
			check := func(t *testing.T, e *harness) {
				t.Helper()
				w := newReferenceModel(t, left)
				w.last = last
				w.check(t, e.store)
			}
			t.Run("RunToEnd", func(t *testing.T) {
				e := purged(t)
				p := e.projector()
				defer p.Close()
				for range 2 { // the second time there is nothing to do
					if err := p.RunToEnd(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				check(t, e)
			})
			t.Run("Run", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := purged(t)
					stop := e.run(t)
					e.store.wait(last)
					if err := stop(); err != nil {
						t.Fatal(err)
					}
					if got := e.watch.reasons(); len(got) > 0 {
						t.Errorf("restarts %v", got)
					}
					check(t, e)
				})
			})
		})
	}
}

// TestGuardRefuses has the guard refuse the stream at the start, and while it is followed.
// Both end Run, and leave what is stored as it is.
func TestGuardRefuses(t *testing.T) {
	errLost := errors.New("history was lost")
	t.Run("at the start", func(t *testing.T) {
		e := newHarness(t, newGenerator(1, 2).stream(10))
		e.opt.Guard = func(StreamInfo, StreamIdentity, uint64, uint64) error { return errLost }
		err := e.projector().Run(t.Context())
		if !errors.Is(err, ErrRefused) || !errors.Is(err, errLost) {
			t.Errorf("error %v, want %v because %v", err, ErrRefused, errLost)
		}
		if err := e.projector().RunToEnd(t.Context()); !errors.Is(err, ErrRefused) {
			t.Errorf("RunToEnd: error %v, want %v", err, ErrRefused)
		}
		if len(e.store.Rows) > 0 || e.store.lowest() > 0 {
			t.Error("something was written")
		}
	})
	t.Run("while it runs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			messages := newGenerator(1, 2).stream(50)
			e := newHarness(t, messages)
			recreated := script.Start.Add(time.Hour)
			e.opt.Guard = func(now StreamInfo, was StreamIdentity, lowest, highest uint64) error {
				if lowest > highest || highest > now.Last {
					t.Errorf("bounds %d to %d of a stream that ends at %d", lowest, highest, now.Last)
				}
				if !now.Created.Equal(was.Created) {
					return errLost
				}
				return nil
			}
			e.run(t)
			e.store.wait(e.source.info.Last)
			e.source.mu.Lock()
			e.source.info.Created = recreated
			e.source.mu.Unlock()
			if err := <-e.ended; !errors.Is(err, ErrRefused) || !errors.Is(err, errLost) {
				t.Errorf("error %v, want %v because %v", err, ErrRefused, errLost)
			}
			newReferenceModel(t, messages).check(t, e.store)
		})
	})
}

// TestRunOnceCommitsOneBatch calls RunOnce batch by batch: each call returns the committed
// position, and one without messages waits.
func TestRunOnceCommitsOneBatch(t *testing.T) {
	messages := newGenerator(1, 2).stream(25)
	e := newHarness(t, messages)
	e.opt.Batch = Bound{Events: 10, Bytes: 1 << 20}
	p := e.projector()
	defer p.Close()
	for _, n := range []int{10, 20, 25} {
		position, err := p.RunOnce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := messages[n-1].Position; position != want || e.store.lowest() != want {
			t.Errorf("position %d, stored %d, want %d", position, e.store.lowest(), want)
		}
	}
	newReferenceModel(t, messages).check(t, e.store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.RunOnce(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v with nothing to read and the context ended, want %v", err, context.Canceled)
	}
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Errorf("and then to the end: %v", err)
	}
}

// TestForeignPartitionsAreDropped checks that messages of partitions that are not owned are
// neither decoded nor stored.
func TestForeignPartitionsAreDropped(t *testing.T) {
	messages := newGenerator(1, 2).stream(50)
	foreign := projections.Message{Position: messages[49].Position + 1, Partition: testPartitions,
		Message: events.Message{Subject: messages[0].Subject, Data: []byte("broken")}}
	s := runToEnd(t, append(append([]projections.Message(nil), messages...), foreign), Options{Lanes: 2})
	w := newReferenceModel(t, messages)
	w.last = foreign.Position
	w.check(t, s)
}

// TestNothingIsFoldedBeforeItIsJudged has a guard that has no verdict at first: it is asked
// again, and nothing is folded before it has accepted the stream.
func TestNothingIsFoldedBeforeItIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newHarness(t, newGenerator(1, 2).stream(50))
		calls := 0
		e.opt.Guard = func(StreamInfo, StreamIdentity, uint64, uint64) error {
			if calls++; calls <= 5 {
				if e.watch.reasons()["source"] != calls-1 {
					t.Errorf("the guard was called %d times, and restarts are %v", calls, e.watch.reasons())
				}
				return ErrUnverified
			}
			return nil
		}
		stop := e.run(t)
		e.store.wait(e.source.info.Last)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if n := e.watch.reasons()["source"]; n != 5 {
			t.Errorf("began anew %d times, want 5", n)
		}
	})
}

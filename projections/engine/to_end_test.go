package engine

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"accountexport/projections"
)

// vanishing removes the stream's last message as soon as FirstAfter has found it, before it
// can be read.
type vanishing struct {
	*memorySource
	once sync.Once
}

func (v *vanishing) FirstAfter(ctx context.Context, after uint64) (uint64, bool, error) {
	position, there, err := v.memorySource.FirstAfter(ctx, after)
	if there && position == v.info.Last {
		v.once.Do(func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.messages = v.messages[:len(v.messages)-1]
		})
	}
	return position, there, err
}

// TestToTheEndThoughTheEndDisappears checks that RunToEnd does not wait for a message that
// was removed after it had been found, and that a later call folds what follows.
func TestToTheEndThoughTheEndDisappears(t *testing.T) {
	t.Parallel()
	messages := newGenerator(1, 3).stream(50)
	s := newMemoryStore(t)
	source := &vanishing{memorySource: newMemorySource(messages)}
	p := New(source, s, Options{Logger: slog.New(slog.DiscardHandler), Batch: Bound{Events: 7}})
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.RunToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if got := s.lowest(); got != messages[49].Position {
		t.Errorf("stored up to %d of %d", got, messages[49].Position)
	}
	last := messages[49]
	last.Position++
	source.add(last)
	if err := p.RunToEnd(ctx); err != nil {
		t.Fatal(err)
	}
	w := newReferenceModel(t, append(append([]projections.Message(nil), messages[:49]...), last))
	w.check(t, s)
}

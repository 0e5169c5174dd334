package pg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The bounds of an [AdaptiveTimeout].
const (
	minTimeout = 15 * time.Second
	maxTimeout = 30 * time.Minute
)

// AdaptiveTimeout bounds how long an answer of the database is waited for. A
// connection can fall silent without ending, and would be waited on for ever;
// and there is no one limit that fits both a small batch and a large one. So work
// that was cut off is given twice the time when it is attempted again, and is not
// cut off for ever. The zero value is ready. It is safe for concurrent use.
type AdaptiveTimeout struct {
	Min time.Duration // the limit never falls below it; default 15 s

	mu    sync.Mutex // guards limit; never held while work runs
	limit time.Duration
}

// Do runs work within the present limit, and adapts the limit to how long it took.
// Where the limit ends it, the error says so and wraps work's own.
func (t *AdaptiveTimeout) Do(ctx context.Context, work func(context.Context) error) error {
	limit := t.current()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	err := work(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		t.set(min(2*limit, maxTimeout))
		return fmt.Errorf("the database has not answered within %v: %w", limit, err)
	}
	if err == nil {
		t.set(max(limit/2, 4*time.Since(began)))
	}
	return err
}

func (t *AdaptiveTimeout) current() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(cmp.Or(t.Min, minTimeout), t.limit)
}

func (t *AdaptiveTimeout) set(limit time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit = min(limit, maxTimeout)
}

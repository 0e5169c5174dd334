package pg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long one piece of work on the database may take.
const (
	minTimeout = 15 * time.Second
	maxTimeout = 30 * time.Minute
)

// patience bounds how long the database's answer is waited for: a connection
// can fall silent without an end, and would be waited on for ever. Work that
// does take longer has twice the time when it is tried again, so none is cut
// off for ever. The zero value is ready; it is for several goroutines.
type AdaptiveTimeout struct {
	Min   time.Duration // default leastPatience
	mu    sync.Mutex
	limit time.Duration
}

func (p *AdaptiveTimeout) current() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(cmp.Or(p.Min, minTimeout), p.limit)
}

// with does the work within the present bound, and learns from how long it took.
func (p *AdaptiveTimeout) Do(ctx context.Context, work func(context.Context) error) error {
	most := p.current()
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	began := time.Now()
	err := work(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		p.set(min(2*most, maxTimeout))
		return fmt.Errorf("the database has not answered within %v: %w", most, err)
	}
	if err == nil {
		p.set(max(most/2, 4*time.Since(began)))
	}
	return err
}

func (p *AdaptiveTimeout) set(most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = min(most, maxTimeout)
}

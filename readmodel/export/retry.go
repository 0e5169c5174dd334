package export

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/readmodel/internal/pg"
)

// reconnectWindow is how long a read is tried again whose connection was lost. A
// server that restarts ends all connections at once, and accepts none for a moment.
const reconnectWindow = 3 * time.Second

// retryState is the attempts of one read. It is for one goroutine.
type retryState struct {
	reader       *Reader
	attempts     int
	attemptBegan time.Time // the last of them
	lostAt       time.Time // the first loss: of this read's connection or, where it got none, the last that any read had
}

func (x *Reader) startRetry() retryState { return retryState{reader: x, attemptBegan: time.Now()} }

// retry tells whether a read that failed by err is worth another attempt, and pauses
// before all but the first. Where a connection was lost, others may have been as
// well, so none of the pool's present ones is used again. Where no connection can be
// made, the server is waited for only as long as it may be restarting. A standby
// ends a read that conflicts with what it has to replay: that read alone, and the
// next attempt sees what it replayed.
func (t *retryState) retry(ctx context.Context, err error) bool {
	var connectErr *pgconn.ConnectError
	lost, conflicted := connectionLost(err), pg.IsSerializationFailure(err)
	switch {
	case ctx.Err() != nil:
		return false
	case conflicted:
	case lost:
		t.reader.resetPool(t.attemptBegan)
	case !errors.As(err, &connectErr):
		return false
	}
	if t.lostAt.IsZero() {
		if t.lostAt = t.reader.lastReset.last(); lost || conflicted {
			t.lostAt = time.Now()
		}
	}
	if time.Since(t.lostAt) > t.reader.reconnectWindow {
		return false
	}
	if t.attempts > 0 || !lost && !conflicted {
		pause := time.NewTimer(min(10*time.Millisecond<<t.attempts, 200*time.Millisecond))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return false
		}
	}
	t.attempts, t.attemptBegan = min(t.attempts+1, 8), time.Now()
	return true
}

// poolReset is when the pool's connections were given up last.
type poolReset struct {
	mu sync.Mutex // guards at; held while the pool is reset, which waits for nothing
	at time.Time
}

func (p *poolReset) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// resetPool gives up the pool's connections, unless that was done after the attempt
// began whose connection was lost.
func (x *Reader) resetPool(began time.Time) {
	x.lastReset.mu.Lock()
	defer x.lastReset.mu.Unlock()
	if began.After(x.lastReset.at) {
		x.lastReset.at = time.Now()
		x.pool.Reset()
	}
}

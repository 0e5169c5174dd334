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
// server that is restarted ends all connections at once, and lets nobody in for
// a moment.
const reconnectWindow = 3 * time.Second

// renewal is when the pool's connections were given up last.
type renewal struct {
	mu sync.Mutex
	at time.Time
}

func (r *renewal) last() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// retryState are those of one read.
type retryState struct {
	of    *Reader
	began time.Time // the last of them
	lost  time.Time // when one was first, of this read or, where it got no connection, of another before it
	n     int
}

func (x *Reader) startRetry() retryState { return retryState{of: x, began: time.Now()} }

// retry tells whether a read that met err is worth another try, and waits a
// little before all but the first. Where a connection was lost others may have
// been as well, so that none from before is used again. Where there is none to
// be had, the server is waited for only as long as it may be coming back from
// what ended those before. A standby ends a read that stands in the way of what
// it has to take on from its primary: that read alone, and the next one sees it.
func (t *retryState) retry(ctx context.Context, err error) bool {
	var connecting *pgconn.ConnectError
	gone, ended := connectionLost(err), pg.IsSerializationFailure(err)
	switch {
	case ctx.Err() != nil:
		return false
	case ended:
	case gone:
		t.of.resetPool(t.began)
	case !errors.As(err, &connecting):
		return false
	}
	if t.lost.IsZero() {
		if t.lost = t.of.lastReset.last(); gone || ended {
			t.lost = time.Now()
		}
	}
	if time.Since(t.lost) > t.of.reconnectWindow {
		return false
	}
	if t.n > 0 || !gone && !ended {
		pause := time.NewTimer(min(10*time.Millisecond<<t.n, 200*time.Millisecond))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return false
		}
	}
	t.n, t.began = min(t.n+1, 8), time.Now()
	return true
}

// resetPool gives up the pool's connections, unless that was done after one began
// that was lost.
func (x *Reader) resetPool(began time.Time) {
	x.lastReset.mu.Lock()
	defer x.lastReset.mu.Unlock()
	if began.After(x.lastReset.at) {
		x.lastReset.at = time.Now()
		x.pool.Reset()
	}
}

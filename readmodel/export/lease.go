package export

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// lease is a connection for one read, with the time that the database has for each
// of its answers. It is for one goroutine, but for timedOut.
type lease struct {
	ctx      context.Context // ends when a limit does
	cancel   context.CancelFunc
	conn     *pgxpool.Conn
	timer    *time.Timer // one for both limits, since making one is a part of what a read costs
	timedOut atomic.Bool // set by the timer
	liveness *liveness
}

// acquireLease waits for a connection until its turn has not come for [queueTimeout].
func (x *Reader) acquireLease(ctx context.Context) (*lease, error) {
	l, began := &lease{liveness: x.liveness}, time.Now()
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.timer = time.AfterFunc(queueTimeout, func() {
		l.timedOut.Store(true)
		l.cancel()
	})
	conn, err := x.pool.Acquire(l.ctx)
	if err != nil {
		defer l.release()
		if l.timedOut.Load() {
			return nil, x.liveness.timeoutError(began)
		}
		return nil, fmt.Errorf("read export: %w", err)
	}
	l.conn = conn
	l.timer.Reset(readTimeout)
	return l, nil
}

// extend gives the next answer the time that an answer has: the database has just
// answered.
func (l *lease) extend() {
	l.liveness.answered()
	l.timer.Reset(readTimeout)
}

// wrapError is the error of a read that failed by err.
func (l *lease) wrapError(err error) error {
	if l.timedOut.Load() {
		return ErrTimeout
	}
	return fmt.Errorf("read export: %w", err)
}

func (l *lease) release() {
	l.timer.Stop()
	l.cancel()
	if l.conn != nil {
		l.conn.Release()
		l.conn = nil
	}
}

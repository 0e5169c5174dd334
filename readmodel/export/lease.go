package export

import (
	"accountexport/readmodel/internal/pg"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lease is a connection for one read, and the time that the database has for
// each of its answers.
type lease struct {
	ctx    context.Context
	cancel context.CancelFunc
	conn   *pgxpool.Conn
	timer  *time.Timer // one for both limits, since it is a part of what a read costs
	late   atomic.Bool
	pulse  *liveness
}

func (x *Reader) acquire(ctx context.Context) (*lease, error) {
	l, began := &lease{pulse: x.liveness}, time.Now()
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.timer = time.AfterFunc(queueTimeout, func() {
		l.late.Store(true)
		l.cancel()
	})
	conn, err := x.pool.Acquire(l.ctx)
	if err != nil {
		defer l.release()
		if l.late.Load() {
			return nil, x.liveness.timeoutError(began)
		}
		return nil, fmt.Errorf("read export: %w", err)
	}
	l.conn = conn
	l.timer.Reset(readTimeout)
	return l, nil
}

// limit gives what is read next the time that a read has: the database has
// answered.
func (l *lease) limit() {
	l.pulse.answered()
	l.timer.Reset(readTimeout)
}

// failed is the error of a read that met err.
func (l *lease) failed(err error) error {
	if l.late.Load() {
		return ErrTimeout
	}
	return fmt.Errorf("read export: %w", err)
}

// connectionLost tells that a connection was lost, or the server ended it: that is worth
// reading once more, through another.
func connectionLost(err error) bool {
	if code := pg.Code(err); code != "" {
		return code == "57P01" || code == "57P02" // admin_shutdown, as by pg_terminate_backend, and crash_shutdown
	}
	if err == nil || errors.Is(err, ErrTimeout) || errors.Is(err, ErrBusy) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (l *lease) release() {
	l.timer.Stop()
	l.cancel()
	if l.conn != nil {
		l.conn.Release()
		l.conn = nil
	}
}

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel/internal/pg"
)

// maxLateHeartbeats is how often a heartbeat is found late, each time after half the
// takeover time, before it is given up.
const maxLateHeartbeats = 4

// errHeartbeatTimeout means that an answer will not come: the connection is lost, or
// the server does not answer at all.
var errHeartbeatTimeout = fmt.Errorf("the database has not answered: %w", context.DeadlineExceeded)

// withHeartbeatTimeout gives a heartbeat the time that it needs. One that has had no
// answer for half the takeover time is late. As long as the server works on it, which
// another connection tells, it is waited for, since giving up and beginning again
// would make a busy server busier. Where the server does not, the answer was lost on
// its way, and other connections may have fallen silent as well: the context ends with
// [errHeartbeatTimeout], as it does where the server cannot be asked for twice the
// takeover time. The caller calls the function to stop watching, and waits in it for
// the watching goroutine.
func (m *membership) withHeartbeatTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	half, done := m.takeover/2, make(chan struct{})
	go func() {
		defer close(done)
		pg.Sleep(ctx, half)
		for range maxLateHeartbeats - 1 {
			if ctx.Err() != nil {
				return
			}
			if m.answerLost(ctx, half) {
				break
			}
		}
		cancel(errHeartbeatTimeout)
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// answerLost says, within half the takeover time, whether the server has
// nothing running on the member's connection, although no answer came.
func (m *membership) answerLost(ctx context.Context, half time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, half)
	defer cancel()
	if backend := m.backend.Load(); backend == 0 || !m.backendIdle(ctx, backend) {
		<-ctx.Done()
		return false
	}
	pg.Sleep(ctx, half/10) // the answer may be on its way
	return ctx.Err() == nil
}

// backendIdle says whether a server process has ended or waits for its client. What
// cannot be learned in time, or at all, counts as no.
func (m *membership) backendIdle(ctx context.Context, backend uint32) bool {
	cfg := m.connConfig()
	cfg.RuntimeParams["application_name"] = "accountexport heartbeat"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false
	}
	defer pg.CloseWithTimeout(ctx, conn)
	var idle bool
	err = conn.QueryRow(ctx, `
SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND coalesce(state, '') NOT LIKE 'idle%')`, int32(backend)).Scan(&idle)
	return err == nil && idle
}

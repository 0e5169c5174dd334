package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// mostDoubts is how often a heartbeat may be found late, each time after half
// the takeover time, before it is given up.
const mostDoubts = 4

// errSilent means that an answer will not come: the connection is lost, or the
// server does not answer at all.
var errSilent = fmt.Errorf("the database has not answered: %w", context.DeadlineExceeded)

// attended gives a heartbeat the time it needs. One that has had no answer for
// half the takeover time is late: as long as the server is at it, which another
// connection tells, it is waited for, since to give up and begin again makes a
// busy server busier. Where the server is not, the answer was lost on its way,
// and other connections may have fallen silent, too: [errSilent], as where the
// server cannot be asked for twice the takeover time.
func (m *membership) attended(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(m.takeover/2, func() {
		for range mostDoubts - 1 {
			if m.unanswered(ctx) {
				break
			}
			if ctx.Err() != nil {
				return
			}
		}
		cancel(errSilent)
	})
	return ctx, func() {
		late.Stop()
		cancel(nil)
	}
}

// unanswered says, half the takeover time later or sooner, whether the server
// has nothing under way on the member's connection, although no answer came.
func (m *membership) unanswered(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, m.takeover/2)
	defer cancel()
	wait := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	idle := false
	if backend := m.backend.Load(); backend != 0 {
		idle = m.idle(ctx, backend)
	}
	if !idle {
		<-ctx.Done()
		return false
	}
	wait(m.takeover / 20) // the answer may just be coming
	return ctx.Err() == nil
}

// idle says whether a server process is gone or waits for its client. What
// cannot be learned in time is not so.
func (m *membership) idle(ctx context.Context, backend uint32) bool {
	cfg := m.pool.Config().ConnConfig.Copy()
	cfg.RuntimeParams["application_name"] = "accountexport heartbeat"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var idle bool
	err = conn.QueryRow(ctx, `
SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active')`, int32(backend)).Scan(&idle)
	return err == nil && idle
}

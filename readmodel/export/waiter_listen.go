package export

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// listen keeps the listening connection until ctx ends.
func (w *Waiter) listen(ctx context.Context) {
	retry := backoff.NewExponentialBackOff()
	retry.MaxInterval = 10 * time.Second
	for standby := false; ctx.Err() == nil; {
		err := w.listenOnce(ctx, retry.Reset)
		w.setListening(false)
		if ctx.Err() != nil {
			return
		}
		wait := retry.NextBackOff()
		if was := standby; onStandby(err) {
			if standby = true; !was {
				w.log.Info("this database is a standby, which notifies nobody: who waits for a position is told up to 100 ms later than " +
					"with DATABASE_DIRECT_URL, which may name its primary")
			}
			select { // it may be promoted to a primary
			case <-ctx.Done():
			case <-time.After(retry.MaxInterval):
			}
			continue
		}
		standby = false
		w.log.Warn("cannot listen for checkpoints: who waits for one is told a little later", "error", err, "retry_in", wait.String())
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// onStandby tells that a server refuses what only a primary does, as a standby does to
// LISTEN.
func onStandby(err error) bool {
	return pg.Code(err) == pg.ReadOnly
}

func (w *Waiter) setListening(listening bool) {
	w.mu.Lock()
	w.listening = listening
	w.mu.Unlock()
	w.wakeUp()
}

// listenOnce connects and listens until the connection is lost.
func (w *Waiter) listenOnce(ctx context.Context, connected func()) error {
	cfg := w.pool.Config().ConnConfig.Copy()
	if w.Direct != nil {
		cfg = w.Direct.Copy()
	}
	cfg.ConnectTimeout = lookTimeout
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pg.CloseWithTimeout(ctx, conn)
	if _, err := conn.Exec(ctx, `LISTEN `+readmodel.CheckpointsChannel); err != nil {
		return err
	}
	connected()
	w.setListening(true)
	for {
		quiet, cancel := context.WithTimeout(ctx, pingEvery)
		_, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			w.wakeUp()
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet.Err() != nil: // nothing was heard: is the connection still there?
			bounded, cancel := context.WithTimeout(ctx, lookTimeout)
			err := conn.Ping(bounded)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}

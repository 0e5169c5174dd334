package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// How often checkpoints are looked at while somebody waits, beside being told
// of: slowly while notifications come, since one may be lost on a proxy's way,
// and faster while they do not.
const (
	pollWhileListening = time.Second
	pollInterval       = 100 * time.Millisecond
	lookTimeout        = 3 * time.Second
	pingEvery          = 10 * time.Second // on the listening connection, when nothing was heard
)

// Waiter lets any number of callers wait until the projector has come to a
// position, over one connection that listens and one statement for all of them
// whenever checkpoints have moved on. It is safe for concurrent use.
type Waiter struct {
	// Direct is how to connect for listening, which needs a session of its own.
	// Default: as the pool does.
	Direct *pgx.ConnConfig
	// Sessions tells whether one is to be had, once that is known; where none is
	// nobody listens. Default: it is.
	Sessions func(ctx context.Context) bool

	pool  *pgxpool.Pool
	log   *slog.Logger
	pulse *liveness

	mu        sync.Mutex
	waiting   map[*pendingWait]struct{}
	listening bool // the listening connection is there
	standby   bool // what is looked at is one, which may have later what was told of
	wake      chan struct{}
	ended     chan struct{} // closed when Run ends
}

// NewWaiter looks through the pool. Nobody is woken until Run runs.
func NewWaiter(pool *pgxpool.Pool, log *slog.Logger) *Waiter {
	return &Waiter{pool: pool, log: log, pulse: newLiveness(), waiting: map[*pendingWait]struct{}{}, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// UseLiveness tells that x reads through the same pool: where no connection comes free
// since those reads have them all, [Waiter.WaitFor] fails with [ErrBusy]. To be called
// before Run.
func (w *Waiter) UseLiveness(x *Reader) { w.pulse = x.liveness }

// pendingWait is one caller's wait.
type pendingWait struct {
	account  events.UUID
	position uint64

	looked  chan struct{} // closed after the first look, or its failure
	reached chan struct{} // closed once the position is reached
	at      uint64        // guarded by Waits.mu, as is err
	err     error         // why the first look failed
	seen    bool
}

// WaitFor waits until the checkpoint that the account's messages come with has
// reached the position: that of the account's partition, or, for an account
// that was not heard of, all. It waits no longer than atMost, and looks at
// least once. at is how far the checkpoint was, when it was looked at last.
func (w *Waiter) WaitFor(ctx context.Context, account events.UUID, position uint64, atMost time.Duration) (at uint64, reached bool, err error) {
	me := &pendingWait{account: account, position: position, looked: make(chan struct{}), reached: make(chan struct{})}
	w.mu.Lock()
	w.waiting[me] = struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, me)
		at = me.at
	}()
	w.wakeUp()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-me.looked:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	case <-w.ended:
		return 0, false, errShuttingDown
	}
	if me.err != nil {
		return 0, false, me.err
	}
	select {
	case <-me.reached:
		return 0, true, nil
	default:
	}
	select {
	case <-me.reached:
		return 0, true, nil
	case <-timer.C:
	case <-ctx.Done():
	case <-w.ended: // whoever waits is told at once, and may ask another replica
	}
	return 0, false, nil
}

// Waiting is how many callers wait now.
func (w *Waiter) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

var errShuttingDown = errors.New("wait for a position: the program is ending")

func (w *Waiter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run listens, and wakes who waits, until ctx ends.
func (w *Waiter) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	defer close(w.ended)
	parts.Go(func() {
		if w.Sessions == nil || w.Sessions(ctx) {
			w.listen(ctx)
		}
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-timer.C:
		}
		w.poll(ctx)
		w.mu.Lock()
		next := pollInterval
		if w.listening && !w.standby {
			next = pollWhileListening
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(readmodel.MinPollGap):
		}
		timer.Reset(next)
	}
}

// poll finds out who has reached their position.
func (w *Waiter) poll(ctx context.Context) {
	w.mu.Lock()
	all := slices.Collect(maps.Keys(w.waiting))
	w.mu.Unlock()
	if len(all) == 0 {
		return
	}
	running := ctx
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	at, err := w.readCheckpoints(ctx, all)
	for tries := 1; pg.IsSerializationFailure(err) && tries < pg.MaxAttempts; tries++ { // by a standby that takes on what this stands in the way of
		at, err = w.readCheckpoints(ctx, all)
	}
	if err != nil && running.Err() != nil {
		err = errShuttingDown
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, one := range all {
		if err == nil {
			one.at = at[i]
		}
		if !one.seen {
			one.seen, one.err = true, err
			if err == nil && at[i] >= one.position {
				close(one.reached)
			}
			close(one.looked)
			continue
		}
		if err == nil && at[i] >= one.position && one.err == nil {
			select {
			case <-one.reached:
			default:
				close(one.reached)
			}
		}
	}
}

// readCheckpoints are the checkpoints that concern the waiting.
func (w *Waiter) readCheckpoints(ctx context.Context, all []*pendingWait) ([]uint64, error) {
	var g readmodel.Generation
	var standby bool
	checkpoints := map[int32]uint64{}
	partitions := map[events.UUID]int32{}
	began := time.Now()
	conn, err := w.pool.Acquire(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("read checkpoints: %w", w.pulse.timeoutError(began))
	case err != nil:
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer conn.Release()
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if g, err = readmodel.LiveGeneration(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT partition, position, pg_is_in_recovery() FROM export.checkpoints WHERE generation = $1`, g.Number)
		if err != nil {
			return err
		}
		var partition int32
		var position uint64
		if _, err = pgx.ForEachRow(rows, []any{&partition, &position, &standby}, func() error {
			checkpoints[partition] = position
			return nil
		}); err != nil {
			return err
		}
		ids := make([][16]byte, len(all))
		for i, one := range all {
			ids[i] = one.account
		}
		if rows, err = tx.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id, partition FROM {schema}.account_export WHERE account_id = ANY($1)`), ids); err != nil {
			return err
		}
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id, &partition}, func() error {
			partitions[id] = partition
			return nil
		})
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("read checkpoints: %w", ErrTimeout)
	case err != nil:
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	w.mu.Lock()
	w.standby = standby
	w.mu.Unlock()
	w.pulse.answered()
	least := uint64(0)
	if len(checkpoints) > 0 {
		least = slices.Min(slices.Collect(maps.Values(checkpoints)))
	}
	at := make([]uint64, len(all))
	for i, one := range all {
		at[i] = least
		if p, heard := partitions[one.account]; heard {
			at[i] = checkpoints[p]
		}
	}
	return at, nil
}

// listen keeps the listening connection, for ever.
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
			select { // it may be promoted
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

// onStandby tells that a server refuses what only a primary does.
func onStandby(err error) bool {
	return pg.Code(err) == "25006" // read_only_sql_transaction
}

func (w *Waiter) setListening(told bool) {
	w.mu.Lock()
	w.listening = told
	w.mu.Unlock()
	w.wakeUp()
}

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

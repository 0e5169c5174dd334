package pg

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// MaxAttempts is how often a transaction is attempted that the server keeps ending
// in favour of others.
const MaxAttempts = 10

// RetryTx runs do in a transaction, and runs it again from the beginning where the
// server ended it in favour of another one ([IsSerializationFailure]), up to
// [MaxAttempts] times. do may therefore be called more than once: whatever it
// decides by, it has to read inside, and whatever it returns by a closure, it has
// to reset first.
func RetryTx(ctx context.Context, db Beginner, do func(tx pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, db, do)
		if !IsSerializationFailure(err) || attempt == MaxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt)*10*time.Millisecond + rand.N(50*time.Millisecond)):
		}
	}
}

// RetryLocked calls do again and again while it fails because something is locked
// or because it was part of a deadlock, until ctx ends. do sets a lock_timeout, so
// that readers never queue behind it for long, and has to change nothing where it
// fails.
func RetryLocked(ctx context.Context, do func() error) error {
	for {
		err := do()
		if code := Code(err); code != LockNotAvailable && code != DeadlockDetected {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300*time.Millisecond + rand.N(400*time.Millisecond)):
		}
	}
}

// PreferIndexes is the first statement of the transactions that go by primary
// keys, and holds until their end. Without it, statements that are planned while
// a generation is new would scan whole tables until the next ANALYZE. With it, a
// statement whose table has no fitting index seems to cost ten thousand million,
// so compiling it (jit), which would never pay, is switched off as well.
//
// Planner settings are never made for a session: statements outside such
// transactions, the heartbeats of a [accountexport/readmodel/store.Store] above
// all, are planned as the server is set up, and settings of a transaction pass
// through any pooler.
const PreferIndexes = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// PreferIndexesGeneric is PreferIndexes for transactions of a few rows, where planning costs as
// much as executing: statements keep the plan that they were given first, whatever their
// arguments. It is for statements that have only one sensible plan.
const PreferIndexesGeneric = `SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true), ` +
	`set_config('plan_cache_mode', 'force_generic_plan', true)`

// AsyncCommit lets its transaction commit without waiting for the disk: for
// changes that may be lost when the server crashes.
const AsyncCommit = `SELECT set_config('synchronous_commit', 'off', true)`

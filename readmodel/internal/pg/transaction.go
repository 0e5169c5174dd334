package pg

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// againAtMost is how often a transaction is tried that the server ends for the
// sake of another one.
const MaxAttempts = 10

// inTransaction runs do in a transaction, and again from the beginning where the
// server has ended it for the sake of another one (a serialization failure, a
// deadlock), ten times at most: what do reads, it has to read inside.
func RetryTx(ctx context.Context, db Beginner, do func(tx pgx.Tx) error) error {
	for tries := 1; ; tries++ {
		err := pgx.BeginFunc(ctx, db, do)
		if !IsSerializationFailure(err) || tries == MaxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(tries)*10*time.Millisecond + rand.N(50*time.Millisecond)):
		}
	}
}

func IsSerializationFailure(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "40001" || refused.Code == "40P01")
}

// untilUnlocked does what may find something locked, or stand in a circle of
// those that wait, and is undone then, again until it finds nothing.
func RetryLocked(ctx context.Context, do func() error) error {
	for {
		err := do()
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "55P03" && refused.Code != "40P01" { // lock_not_available, deadlock_detected
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300*time.Millisecond + rand.N(400*time.Millisecond)):
		}
	}
}

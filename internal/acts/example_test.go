package acts_test

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/acts"
	"accountexport/internal/stream"
)

// A page of an operator verifies all accounts, and shows how far that is and which
// differ. The act calls back with what it finds, and the page decides how to show it.
func ExampleVerifier() {
	type page interface {
		Progress(ratio float64)
		Differs(account, tier string, differences []string) error
	}
	verify := func(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, show page) error {
		target := acts.NewTarget(client, pool)
		if err := target.CheckAll(ctx); err != nil {
			return err // `projector run` would refuse the stream, or a server cannot be asked
		}
		v := &acts.Verifier{
			Target: target,
			Limit:  acts.NewReadLimit(10_000, 1<<20), // messages and bytes a second
			OnVerdict: func(v acts.Verdict) error {
				if v.Same() {
					return nil
				}
				return show.Differs(v.Account, v.Tier, v.Differences)
			},
			OnProgress: func(compared, total int) { show.Progress(float64(compared) / float64(max(1, total))) },
		}
		if err := v.All(ctx); err != nil {
			return err // some accounts were not compared
		}
		if v.Differ > 0 {
			return fmt.Errorf("of %d accounts %s", v.Accounts, v.Advice())
		}
		return nil
	}
	_ = verify
}

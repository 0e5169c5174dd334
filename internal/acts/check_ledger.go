package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// ErrErasuresMissing means that the ledger of erasures knows accounts that the
// stream holds no erasure of, or that are owed in this database: one of them was
// restored from before.
var ErrErasuresMissing = errors.New("the ledger knows erasures that the stream lacks, or this database")

const (
	// askedAtOnce are the questions to the server under way while the ledger is
	// compared (measured: 100,000 erasures in below ten seconds on two cores that
	// had other work).
	askedAtOnce = 64
	// comparedAtOnce are the entries that are compared again where asking failed.
	comparedAtOnce = 500
)

// LedgerChecker holds the ledger of erasures against the stream. Where asking
// fails, [LedgerChecker.Check] goes on where it was.
type LedgerChecker struct {
	Target
	Each func(int) // told how many entries were compared, now and then; default: nobody

	Compared int // entries

	after *events.UUID
}

// CheckLedger is [ErrErasuresMissing] where the ledger knows erasures that the
// stream lacks, or that are owed here: nothing may be folded from it.
func (t Target) CheckLedger(ctx context.Context) error {
	return (&LedgerChecker{Target: t}).Check(ctx)
}

// checkOwed is [ErrErasuresMissing] where erasures are owed here.
func (c *LedgerChecker) checkOwed(ctx context.Context) error {
	owed, err := c.owed(ctx)
	if err != nil {
		return err
	}
	for account := range owed {
		e, err := admin.FindErasure(ctx, c.Pool, account)
		if err == nil {
			err = refuseLacking(e, c.Stream.Stream())
		}
		if !errors.Is(err, readmodel.ErrNotFound) {
			return err
		}
	}
	return nil
}

// Check is [Target.CheckLedger] for what is left of the ledger.
func (c *LedgerChecker) Check(ctx context.Context) error {
	if err := c.checkOwed(ctx); err != nil {
		return err
	}
	info, err := c.Stream.Info(ctx)
	if err != nil {
		return err
	}
	for {
		some, err := admin.Erasures(ctx, c.Pool, c.after, comparedAtOnce)
		if err != nil || len(some) == 0 {
			return err
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(askedAtOnce)
		for _, e := range some {
			g.Go(func() error {
				has, err := c.holds(gctx, e, info.Partitions)
				if err != nil {
					return fmt.Errorf("compare the ledger of erasures with stream %s: %w", c.Stream.Stream(), err)
				}
				if !has {
					return refuseLacking(e, c.Stream.Stream())
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		c.after, c.Compared = &some[len(some)-1].Account, c.Compared+len(some)
		if c.Each != nil {
			c.Each(c.Compared)
		}
	}
}

// owed are the accounts whose erasures are to be carried out anew here.
func (t Target) owed(ctx context.Context) (map[events.UUID]bool, error) {
	all, err := admin.PendingErasures(ctx, t.Pool, true)
	out := make(map[events.UUID]bool, len(all))
	for _, o := range all {
		out[o.Account] = true
	}
	return out, err
}

// holds tells whether the stream holds the account's erasure. Mostly the event is
// where the ledger has it, which is one question; otherwise the account's
// messages are read.
func (t Target) holds(ctx context.Context, e admin.Erasure, partitions int) (bool, error) {
	has, err := t.Stream.HasErasedAt(ctx, e.Account, e.Position)
	if err != nil || has {
		return has, err
	}
	if has, err = t.Stream.LastIsErased(ctx, e.Account, partitions); err != nil || has {
		return has, err
	}
	first, err := t.Stream.FirstErased(ctx, e.Account)
	return first.Position > 0, err
}

func refuseLacking(e admin.Erasure, stream string) error {
	return fmt.Errorf("%w: account %s was erased at %s, and that is not done in stream %s, or not in this database (there may be more): one of them was "+
		"restored from before. Nothing was changed, and what is there is still served. Ways out: restore a later backup; `projector accept`, which says "+
		"who they are and, told --yes, erases them anew; `projector rebuild`, which does so before it cuts over; or, for an account that nobody has "+
		"erased and that came onto the ledger by mistake, `projector erasures remove --account %[2]s`",
		ErrErasuresMissing, e.Account, e.ErasedAt.UTC().Format(time.RFC3339), stream)
}

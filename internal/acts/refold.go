package acts

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// Refolder refolds accounts and tiers from the stream into the live
// generation, beside whoever projects it. A stream that [Target.Check] refuses
// changes nothing: it is asked before anything is read, again and again.
type Refolder struct {
	Target
	AcceptLoss bool          // also where the stream no longer holds all that a row was made of
	Pause      time.Duration // between two transactions: each makes the live projector load anew

	// Called by one at a time.
	OnChanged func(what string)            // "account ID" or "tier ID", of which anything stored has changed
	OnSkipped func(what string, why error) // that was left as it is: [admin.ErrDataLoss] or [admin.ErrUnfoldable]

	mu sync.Mutex
	Refolded
}

// Refolded says what became of what was to be refolded.
type Refolded struct {
	Accounts, Tiers, Changed, Left int
}

// accountsAtOnce are swapped in one transaction.
const accountsAtOnce = 50

// refoldersAtOnce are at work where nobody is to be spared.
const refoldersAtOnce = 4

// Account refolds one account. [readmodel.ErrNotFound] where neither the stream
// nor the read model knows it.
func (f *Refolder) Account(ctx context.Context, id events.UUID) error {
	return f.each(ctx, admin.RetryTargets{Accounts: []events.UUID{id}})
}

// Retry refolds all that has parked messages.
func (f *Refolder) Retry(ctx context.Context) error {
	r, err := admin.FindRetryTargets(ctx, f.Pool, false)
	if err != nil {
		return err
	}
	return f.each(ctx, r)
}

// RetryParked refolds the accounts and tiers of parked messages.
func (f *Refolder) RetryParked(ctx context.Context, c *admin.ParkedSelection) error {
	r := c.RetryTargets()
	if len(r.Accounts) == 0 && len(r.Tiers) == 0 {
		return nil
	}
	return f.each(ctx, r)
}

// RetryDue refolds what an older minor version has parked, where that has not
// been done and no other replica is at it; begins is told of how many.
func (f *Refolder) RetryDue(ctx context.Context, begins func(generation int64, accounts, tiers int)) (done bool, err error) {
	generation, due, err := admin.RetryDue(ctx, f.Pool)
	if err != nil || !due {
		return false, err
	}
	if err := f.Check(ctx); err != nil {
		return false, err
	}
	err = admin.WithRetryLock(ctx, f.Pool, func() error {
		r, err := admin.FindRetryTargets(ctx, f.Pool, true)
		if err != nil {
			return err
		}
		begins(generation, len(r.Accounts), len(r.Tiers))
		f.Refolded = Refolded{}
		if err := f.each(ctx, r); err != nil {
			return err
		}
		done = true
		return admin.MarkRetried(ctx, f.Pool, generation)
	})
	return done, err
}

func (f *Refolder) each(ctx context.Context, r admin.RetryTargets) error {
	if len(r.Tiers) > 0 || len(r.Accounts) == 0 {
		if err := f.Check(ctx); err != nil {
			return err
		}
	}
	for _, subject := range r.Tiers {
		what := "tier " + events.ParseSubject(subject).Tier
		different, err := admin.RefoldTier(ctx, f.Pool, subject, f.Stream.ReadTierAfter)
		switch {
		case errors.Is(err, admin.ErrDataLoss):
			f.left(what, err)
			continue
		case err != nil:
			return err
		case different:
			f.changed(what)
		}
		f.Tiers++
	}
	// Accounts of one partition lie together, so that those at work at once mostly
	// wait for nobody: a swap is mostly reading, one account after the other.
	workers := refoldersAtOnce
	if f.Pause > 0 {
		workers = 1
	}
	part := max(accountsAtOnce, (len(r.Accounts)+workers-1)/workers)
	all, ctx := errgroup.WithContext(ctx)
	for accounts := range slices.Chunk(r.Accounts, part) {
		all.Go(func() error { return f.accounts(ctx, accounts) })
	}
	return all.Wait()
}

// accounts refolds accounts, some at a time.
func (f *Refolder) accounts(ctx context.Context, all []events.UUID) error {
	for ids := range slices.Chunk(all, accountsAtOnce) {
		if err := f.Check(ctx, ids...); err != nil {
			return err
		}
		done, err := admin.RefoldAccounts(ctx, f.Pool, ids, f.AcceptLoss, f.Stream.ReadAccountAfter)
		f.tell(ids, done, err)
		if err != nil {
			return err
		}
		if f.Pause == 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.Pause):
		}
	}
	return nil
}

// tell is called by several at once.
func (f *Refolder) tell(ids []events.UUID, done admin.RefoldResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range done.Changed {
		f.changed("account " + id.String())
	}
	for _, u := range done.Skipped {
		f.left("account "+u.Account.String(), u.Err)
	}
	if err == nil {
		f.Accounts += len(ids) - len(done.Skipped)
	}
}

func (f *Refolder) changed(what string) {
	f.Refolded.Changed++
	f.OnChanged(what)
}

func (f *Refolder) left(what string, why error) {
	f.Refolded.Left++
	f.OnSkipped(what, why)
}

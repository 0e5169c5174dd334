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

// Refolder refolds accounts and tiers from the stream into the live generation, beside
// the projector. A stream that [Target.Check] refuses changes nothing: it is checked
// before anything is read, and again for each batch of accounts. Cut off, what was
// committed stays, and a repetition does the rest. One method at a time; the counts add
// up.
type Refolder struct {
	Target
	AcceptLoss bool // replace a row also where the stream no longer holds all its messages
	// between two transactions, since each makes the projector load accounts again;
	// default: none, and several workers
	Pause time.Duration

	// Callbacks, called by one goroutine at a time: workers hold mu meanwhile, so that
	// others wait.
	OnChanged func(what string)            // "account ID" or "tier ID", whenever anything stored has changed
	OnSkipped func(what string, why error) // left as it is: [admin.ErrDataLoss] or [admin.ErrUnfoldable]
	OnAccount func(done int)               // how many accounts are done, or were left; default: nobody

	seen     int
	mu       sync.Mutex // guards seen and Refolded while a method runs, and is held while callbacks run
	Refolded            // to be read after a method has returned
}

// Refolded counts accounts and tiers.
type Refolded struct {
	Accounts, Tiers, Changed, Left int
}

// accountsPerTransaction is how many accounts are replaced in one transaction.
const accountsPerTransaction = 50

// refoldWorkers is how many transactions are under way where there is no Pause.
const refoldWorkers = 4

// Account refolds one account. The error is [readmodel.ErrNotFound] where neither the
// stream nor the read model knows it.
func (f *Refolder) Account(ctx context.Context, id events.UUID) error {
	return f.refoldAll(ctx, admin.RetryTargets{Accounts: []events.UUID{id}})
}

// Retry refolds all accounts and tiers that have parked messages.
func (f *Refolder) Retry(ctx context.Context) error {
	r, err := admin.FindRetryTargets(ctx, f.Pool, false)
	if err != nil {
		return err
	}
	return f.refoldAll(ctx, r)
}

// RetryParked refolds the accounts and tiers of the selected messages.
func (f *Refolder) RetryParked(ctx context.Context, c *admin.ParkedSelection) error {
	r := c.RetryTargets()
	if len(r.Accounts) == 0 && len(r.Tiers) == 0 {
		return nil
	}
	return f.refoldAll(ctx, r)
}

// RetryDue refolds the accounts and tiers of which an older minor version has parked
// messages, unless that was done or another replica is doing it. begins is called
// first, with how many there are.
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
		if err := f.refoldAll(ctx, r); err != nil {
			return err
		}
		done = true
		return admin.MarkRetried(ctx, f.Pool, generation)
	})
	return done, err
}

func (f *Refolder) refoldAll(ctx context.Context, r admin.RetryTargets) error {
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
			f.skipped(what, err)
			continue
		case err != nil:
			return err
		case different:
			f.changed(what)
		}
		f.Tiers++
	}
	// Accounts of one partition are next to each other, so that workers mostly do not
	// wait for the locks of others: replacing accounts is mostly reading, one account
	// after the other.
	workers := refoldWorkers
	if f.Pause > 0 {
		workers = 1
	}
	share := max(accountsPerTransaction, (len(r.Accounts)+workers-1)/workers)
	all, ctx := errgroup.WithContext(ctx)
	for accounts := range slices.Chunk(r.Accounts, share) {
		all.Go(func() error { return f.accounts(ctx, accounts) })
	}
	return all.Wait()
}

// accounts refolds accounts, some of them in each transaction.
func (f *Refolder) accounts(ctx context.Context, all []events.UUID) error {
	for ids := range slices.Chunk(all, accountsPerTransaction) {
		if err := f.Check(ctx, ids...); err != nil {
			return err
		}
		done, err := admin.RefoldAccounts(ctx, f.Pool, ids, f.AcceptLoss, f.Stream.ReadAccountAfter)
		f.report(ids, done, err)
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

// report counts the result of one transaction and calls the callbacks. The workers call
// it.
func (f *Refolder) report(ids []events.UUID, done admin.RefoldResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range done.Changed {
		f.changed("account " + id.String())
	}
	for _, u := range done.Skipped {
		f.skipped("account "+u.Account.String(), u.Err)
	}
	if err == nil {
		f.Accounts += len(ids) - len(done.Skipped)
		f.seen += len(ids)
		if f.OnAccount != nil {
			f.OnAccount(f.seen)
		}
	}
}

func (f *Refolder) changed(what string) {
	f.Refolded.Changed++
	f.OnChanged(what)
}

func (f *Refolder) skipped(what string, why error) {
	f.Refolded.Left++
	f.OnSkipped(what, why)
}

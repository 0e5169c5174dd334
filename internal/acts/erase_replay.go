package acts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// ErasureReplay carries out again erasures that are on the ledger, in a stream that
// lacks them or still holds messages of the accounts, since it was restored from an
// older backup or is a copy that was not purged, and in a database that was restored.
// It needs no projector: the tables are cleared here, and whichever projector reads the
// event folds it. Each erasure is recorded before anything is done and is pending until
// it is proven: cut off, another Run completes it.
type ErasureReplay struct {
	Target
	Erasures []admin.Erasure // from [Target.PendingErasures]
	Command  string          // the projector command that completes it when it was cut off
	Copies   []string        // copies of the stream, which keep their messages; known after Run

	upTo        uint64 // the end of the stream when it was searched
	identifiers map[events.UUID]*identifiers
	strays      map[events.UUID]*searchResult
}

// Served returns the accounts that are served and were never erased in this database.
// Either the database was restored from an older backup, or they are on the ledger by
// mistake, and then erasing them would remove good documents.
func (a *ErasureReplay) Served(ctx context.Context) ([]events.UUID, error) {
	ids := make([]events.UUID, len(a.Erasures))
	for i, e := range a.Erasures {
		ids[i] = e.Account
	}
	return admin.ServedNeverErased(ctx, a.Pool, ids)
}

// Run carries out all of them. After an error some may have been carried out, and Run
// may be repeated.
func (a *ErasureReplay) Run(ctx context.Context) error {
	if len(a.Erasures) == 0 {
		return nil
	}
	missing := a.Stream.CanErase(ctx, a.Erasures[0].Account)
	if err := admin.CheckErasable(ctx, a.Pool); err != nil {
		missing = append(missing, err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the erasures cannot be carried out, and none was: %w", errors.Join(missing...))
	}
	if err := a.prepare(ctx); err != nil {
		return err
	}
	for _, e := range a.Erasures {
		if err := a.replay(ctx, e); err != nil {
			return fmt.Errorf("erase account %s anew: %w", e.Account, err)
		}
	}
	var err error
	if a.Copies, err = a.Stream.Copies(ctx); err != nil {
		return err
	}
	if err := a.prove(ctx); err != nil {
		return err
	}
	for _, e := range a.Erasures {
		end := func() error { return admin.CompleteErasure(ctx, a.Pool, e.Account, "") }
		if len(a.Copies) > 0 { // messages in copies may come back, and the record is what finds them then
			end = func() error { return admin.MarkErasedLocally(ctx, a.Pool, e.Account) }
		}
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}

// Incomplete says what keeps the erasures from being complete; nil where they are.
func (a *ErasureReplay) Incomplete() error {
	if len(a.Copies) == 0 {
		return nil
	}
	names := strings.Join(a.Copies, ",")
	return fmt.Errorf("the erasures are carried out here, and copies of the stream keep what they have of %d accounts, such as %s: "+
		"`projector erase --account %s --purge-copies %s`, for each of them, removes it there, too",
		len(a.Erasures), a.Erasures[0].Account, a.Erasures[0].Account, names)
}

// prepare records the erasures as pending, with the addresses that are known, and then
// reads the stream once to find the strays of all accounts.
func (a *ErasureReplay) prepare(ctx context.Context) error {
	a.identifiers, a.strays = map[events.UUID]*identifiers{}, map[events.UUID]*searchResult{}
	pending, err := admin.PendingErasures(ctx, a.Pool, false)
	if err != nil {
		return err
	}
	known := map[events.UUID][]string{}
	for _, o := range pending {
		known[o.Account] = o.Emails
	}
	for _, e := range a.Erasures {
		n := newIdentifiers(e.Account, known[e.Account]...)
		if err := n.collectAll(ctx, a.Stream, a.Pool, e.Account); err != nil {
			return err
		}
		if err := admin.BeginErasure(ctx, a.Pool, e.Account, n.emails(), true); err != nil {
			return err
		}
		a.identifiers[e.Account], a.strays[e.Account] = &n, &searchResult{}
	}
	info, err := a.Stream.Info(ctx)
	if err != nil {
		return err
	}
	a.upTo = info.Last
	return a.Stream.ReadTo(ctx, a.upTo, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if !unattributed(to, m) {
			return nil
		}
		for account, n := range a.identifiers {
			if mayBeMeantFor(to, account) && n.matchMessage(m) {
				f := a.strays[account]
				f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
			}
		}
		return nil
	})
}

// replay publishes account.erased with the time that it had, unless the stream holds
// it, and removes all other messages and rows of the account.
func (a *ErasureReplay) replay(ctx context.Context, e admin.Erasure) error {
	first, err := a.Stream.PublishErased(ctx, e.Account, e.ErasedAt)
	if err != nil {
		return err
	}
	gaps := Gaps{a.Target}
	if err := gaps.recordRemovals(ctx, a.strays[e.Account].strays); err != nil {
		return err
	}
	for _, position := range a.strays[e.Account].strays {
		if _, err := a.Stream.DeleteMessage(ctx, position); err != nil {
			return err
		}
	}
	if _, err := a.Stream.PurgeAccount(ctx, e.Account, first.Position, gaps.recordRemovals); err != nil {
		return err
	}
	info, err := a.Stream.Info(ctx)
	if err != nil {
		return err
	}
	if _, err := admin.AbandonUnfenceable(ctx, a.Pool, info.First); err != nil {
		return err
	}
	_, err = admin.ClearAccount(ctx, a.Pool, admin.AccountErasure{Account: e.Account, At: first.At, Position: first.Position, Stream: info,
		MistypedSubjects: a.strays[e.Account].subjects, Mentions: a.identifiers[e.Account].matchAny, FenceAll: true})
	return err
}

// prove searches the stream once, and the tables once for each account, and fails where
// anything of the accounts is left.
func (a *ErasureReplay) prove(ctx context.Context) error {
	left, erased := 0, map[events.UUID]bool{}
	read := 0
	info, err := a.Stream.Info(ctx)
	if err != nil {
		return err
	}
	err = a.Stream.ReadTo(ctx, info.Last, func(m projections.Message) error {
		read++
		to := events.ParseSubject(m.Subject)
		if n := a.identifiers[to.Account]; n != nil && to.Kind == events.SubjectAccount {
			if _, erases := stream.ErasureTime(m, to.Account); erases && !erased[to.Account] {
				erased[to.Account] = true
			} else if m.Position <= a.upTo || !erased[to.Account] {
				left++ // what comes after the event belongs to no document, and is removed by `projector erase`
			}
			return nil
		}
		if m.Position > a.upTo || !unattributed(to, m) {
			return nil
		}
		for account, n := range a.identifiers {
			if mayBeMeantFor(to, account) && n.matchMessage(m) {
				left++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := checkCount(ctx, a.Stream, a.Pool, info, read); err != nil {
		return err
	}
	rows := int64(0)
	for _, e := range a.Erasures {
		t, err := admin.FindTraces(ctx, a.Pool, e.Account, a.identifiers[e.Account].matchAny)
		if err != nil {
			return err
		}
		rows += t.Rows
	}
	if left > 0 || rows > 0 || len(erased) < len(a.Erasures) {
		err = fmt.Errorf("%d messages and %d rows of accounts that were erased anew are left, and %d of %d erasures are in the stream: `projector %s` goes on",
			left, rows, len(erased), len(a.Erasures), a.Command)
	}
	return err
}

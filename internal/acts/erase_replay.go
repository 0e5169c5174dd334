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

// ErasureReplay carries erasures of the ledger out in a stream that lacks them, or holds
// messages of those accounts still, since it was restored from before or is a
// copy that nobody has purged, and in a database that was restored. It needs no
// projector: the tables are cleared here, and the event is folded by whoever
// comes by it. What is to be done is noted first and taken off once it is proven,
// so that whoever is cut off is gone on with.
type ErasureReplay struct {
	Target
	Those   []admin.Erasure // [Target.UnfinishedErasures]
	Command string          // that goes on where it was cut off
	Copies  []string        // of the stream, that were left as they are; known once it is carried out

	upTo    uint64 // the stream's end as it was looked for them
	needles map[events.UUID]*identifiers
	strays  map[events.UUID]*found
}

// Served are those that are served, and that were never erased in this database:
// it was restored from before, or they are on the ledger by mistake, and then
// erasing them anew would take good documents.
func (a *ErasureReplay) Served(ctx context.Context) ([]events.UUID, error) {
	ids := make([]events.UUID, len(a.Those))
	for i, e := range a.Those {
		ids[i] = e.Account
	}
	return admin.ServedNeverErased(ctx, a.Pool, ids)
}

// Run erases them, all or, where it ends with an error, those that it has
// come by: it may be repeated.
func (a *ErasureReplay) Run(ctx context.Context) error {
	if len(a.Those) == 0 {
		return nil
	}
	missing := a.Stream.CanErase(ctx, a.Those[0].Account)
	if err := admin.CheckErasable(ctx, a.Pool); err != nil {
		missing = append(missing, err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the erasures cannot be carried out, and none was: %w", errors.Join(missing...))
	}
	if err := a.look(ctx); err != nil {
		return err
	}
	for _, e := range a.Those {
		if err := a.one(ctx, e); err != nil {
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
	for _, e := range a.Those {
		end := func() error { return admin.CompleteErasure(ctx, a.Pool, e.Account, "") }
		if len(a.Copies) > 0 { // what they keep may come back, and is found by what is noted
			end = func() error { return admin.MarkErasedLocally(ctx, a.Pool, e.Account) }
		}
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}

// Incomplete says what keeps the erasures from being whole; nil where nothing does.
func (a *ErasureReplay) Incomplete() error {
	if len(a.Copies) == 0 {
		return nil
	}
	names := strings.Join(a.Copies, ",")
	return fmt.Errorf("the erasures are carried out here, and copies of the stream keep what they have of %d accounts, such as %s: "+
		"`projector erase --account %s --purge-copies %s`, for each of them, removes it there, too",
		len(a.Those), a.Those[0].Account, a.Those[0].Account, names)
}

// look notes what is about to be done, with the e-mail addresses that are known,
// and then, once through the stream, finds the strays of all.
func (a *ErasureReplay) look(ctx context.Context) error {
	a.needles, a.strays = map[events.UUID]*identifiers{}, map[events.UUID]*found{}
	owed, err := admin.PendingErasures(ctx, a.Pool, false)
	if err != nil {
		return err
	}
	known := map[events.UUID][]string{}
	for _, o := range owed {
		known[o.Account] = o.Emails
	}
	for _, e := range a.Those {
		n := newIdentifiers(e.Account, known[e.Account]...)
		if err := n.collect(ctx, a.Stream, a.Pool, e.Account); err != nil {
			return err
		}
		if err := admin.BeginErasure(ctx, a.Pool, e.Account, n.emails(), true); err != nil {
			return err
		}
		a.needles[e.Account], a.strays[e.Account] = &n, &found{}
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
		for account, n := range a.needles {
			if mayMean(to, account) && n.matchMessage(m) {
				f := a.strays[account]
				f.strays, f.subjects = append(f.strays, m.Position), append(f.subjects, m.Subject)
			}
		}
		return nil
	})
}

// one publishes the same event, with the time that it had, and removes all else.
func (a *ErasureReplay) one(ctx context.Context, e admin.Erasure) error {
	first, err := a.Stream.PublishErased(ctx, e.Account, e.ErasedAt)
	if err != nil {
		return err
	}
	gaps := Gaps{a.Target}
	if err := gaps.book(ctx, a.strays[e.Account].strays); err != nil {
		return err
	}
	for _, position := range a.strays[e.Account].strays {
		if _, err := a.Stream.DeleteMessage(ctx, position); err != nil {
			return err
		}
	}
	if _, err := a.Stream.PurgeAccount(ctx, e.Account, first.Position, gaps.book); err != nil {
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
		MistypedSubjects: a.strays[e.Account].subjects, Mentions: a.needles[e.Account].matchAny, FenceAll: true})
	return err
}

// prove looks once through the stream, and as often through the tables as there
// are accounts, that nothing of them is left.
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
		if n := a.needles[to.Account]; n != nil && to.Kind == events.SubjectAccount {
			if _, erases := stream.ErasureTime(m, to.Account); erases && !erased[to.Account] {
				erased[to.Account] = true
			} else if m.Position <= a.upTo || !erased[to.Account] {
				left++ // what comes later is no part of any document, and is erased by `projector erase`
			}
			return nil
		}
		if m.Position > a.upTo || !unattributed(to, m) {
			return nil
		}
		for account, n := range a.needles {
			if mayMean(to, account) && n.matchMessage(m) {
				left++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := counted(ctx, a.Stream, a.Pool, info, read); err != nil {
		return err
	}
	rows := int64(0)
	for _, e := range a.Those {
		t, err := admin.FindTraces(ctx, a.Pool, e.Account, a.needles[e.Account].matchAny)
		if err != nil {
			return err
		}
		rows += t.Rows
	}
	if left > 0 || rows > 0 || len(erased) < len(a.Those) {
		err = fmt.Errorf("%d messages and %d rows of accounts that were erased anew are left, and %d of %d erasures are in the stream: `projector %s` goes on",
			left, rows, len(erased), len(a.Those), a.Command)
	}
	return err
}

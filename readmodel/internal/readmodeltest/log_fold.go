package readmodeltest

import (
	"context"
	"testing"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// Project folds all of the log into a store, by the engine.
func (l MessageLog) Project(t *testing.T, s engine.Store, opt engine.Options) {
	t.Helper()
	opt.Logger = Quiet
	p := engine.New(l, s, opt)
	defer p.Close()
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ReadAccount is an [admin.ReadAccount].
func (l MessageLog) ReadAccount(_ context.Context, id events.UUID, after, upTo uint64, each func(projections.Message) error) error {
	for _, m := range l {
		if to := events.ParseSubject(m.Subject); to.Kind != events.SubjectAccount || to.Account != id || m.Position <= after || m.Position > upTo {
			continue
		}
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// Fold folds one account's messages up to a position.
func (l MessageLog) Fold(ctx context.Context, id events.UUID, upTo uint64) (*projections.Refold, error) {
	r := projections.NewRefold(id)
	return r, l.ReadAccount(ctx, id, 0, upTo, r.Apply)
}

// CountConsumed counts the messages that moved each account's position: those that its
// row counts.
func (l MessageLog) CountConsumed(t *testing.T) map[events.UUID]uint64 {
	t.Helper()
	fold, n := projections.NewFold(), map[events.UUID]uint64{}
	for _, m := range l {
		to := events.ParseSubject(m.Subject)
		a := fold.Account(to.Account)
		wasErased := a != nil && a.State(nil) == projections.Erased
		if _, _, err := fold.Apply(m); err != nil {
			t.Fatal(err)
		}
		switch {
		case to.Kind != events.SubjectAccount || wasErased:
		case fold.Account(to.Account).State(nil) == projections.Erased:
			n[to.Account] = 1
		default:
			n[to.Account]++
		}
	}
	return n
}

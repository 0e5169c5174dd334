package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Inspect reads what the stream, the tables and the ledger hold of the account, and
// collects the identifiers that its messages contain before these are removed. known is
// false where none of them holds anything: then there is nothing to erase, but what
// [Eraser.ForgetLooks] does. That somebody looked for an account makes it no known one.
func (e *Eraser) Inspect(ctx context.Context) (known bool, err error) {
	ctx, end := tracing.Phase(ctx, "inspect")
	defer func() { end(err) }()
	e.identifiers = newIdentifiers(e.Account)
	e.first, e.Messages = stream.Erased{}, 0
	if e.begun, err = e.wasBegun(ctx); err != nil {
		return false, err
	}
	err = e.Stream.ReadAccount(ctx, e.Account, 0, func(m projections.Message) error {
		known = true
		d, err := projections.Decode(m)
		if err != nil {
			return err
		}
		if at, erases := stream.ErasureTime(m, e.Account); erases && e.first.Position == 0 {
			e.first = stream.Erased{Position: m.Position, At: at}
			return nil
		}
		e.identifiers.addFrom(&d)
		e.Messages++
		return nil
	})
	if err != nil {
		return false, err
	}
	e.firstBefore = e.first
	// The messages may have been removed by hand, so that only rows are left.
	if e.Rows, err = admin.FindTraces(ctx, e.Pool, e.Account, nil); err != nil {
		return false, err
	}
	for _, address := range e.Rows.Emails {
		e.identifiers.addEmail(address)
	}
	e.ledger, err = admin.FindErasure(ctx, e.Pool, e.Account)
	if err != nil && !errors.Is(err, readmodel.ErrNotFound) {
		return false, err
	}
	if known || e.begun || e.Rows.Rows > e.Rows.Audited || e.Rows.Erased || err == nil {
		return true, nil
	}
	// Messages on mistyped subjects may be all that there is.
	f, err := search(ctx, e.Stream, e.Account, e.identifiers, 0)
	if err != nil || f.remaining() > 0 {
		return true, err
	}
	e.Rows, err = admin.FindTraces(ctx, e.Pool, e.Account, e.identifiers.matchAny)
	return e.Rows.Rows > e.Rows.Audited, err
}

// ForgetLooks is for an account that [Eraser.Inspect] does not know: whoever looked for
// it has left lines in the audit that name it, and these stay without it. It returns how
// many they are.
func (e *Eraser) ForgetLooks(ctx context.Context) (lines int64, err error) {
	return admin.ForgetAudited(ctx, e.Pool, e.Account)
}

// wasBegun tells whether an erasure of the account was begun before, and adds the
// addresses that were recorded then: the messages that held them may be removed by now.
func (e *Eraser) wasBegun(ctx context.Context) (begun bool, err error) {
	all, err := admin.PendingErasures(ctx, e.Pool, false)
	for _, o := range all {
		if o.Account == e.Account {
			begun = true
			for _, address := range o.Emails {
				e.identifiers.addEmail(address)
			}
		}
	}
	return begun, err
}

// collectAll reads the identifiers again, which may have changed since, and records the
// addresses before any message is removed.
func (e *Eraser) collectAll(ctx context.Context) error {
	if err := e.identifiers.collectAll(ctx, e.Stream, e.Pool, e.Account); err != nil {
		return err
	}
	return admin.BeginErasure(ctx, e.Pool, e.Account, e.identifiers.emails(), false)
}

// Preflight returns everything that would keep the erasure from being done, before
// anything is changed.
func (e *Eraser) Preflight(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "preflight")
	defer func() { end(err) }()
	missing := e.Stream.CanErase(ctx, e.Account)
	if e.copies, err = e.Stream.Copies(ctx); err != nil {
		missing = append(missing, err)
	}
	for _, name := range e.PurgeCopies {
		if err == nil && !slices.Contains(e.copies, name) {
			missing = append(missing, fmt.Errorf("--purge-copies: stream %s is no copy of stream %s that this connection can see", name, e.Stream.Stream()))
			continue
		}
		missing = append(missing, e.Stream.WithStream(name).CanPurge(ctx)...)
	}
	if err := admin.CheckErasable(ctx, e.Pool); err != nil {
		missing = append(missing, err)
	}
	if info, err := e.Stream.Info(ctx); err == nil {
		if _, err := admin.FindMissing(ctx, e.Pool, info); errors.Is(err, admin.ErrNoLedger) {
			missing = append(missing, err)
		}
	}
	if err := readmodel.CheckPaused(ctx, e.Pool); errors.Is(err, engine.ErrPaused) {
		missing = append(missing, err)
	} else if err != nil {
		return err
	}
	st, err := admin.ReadStatus(ctx, e.Pool)
	switch {
	case errors.Is(err, readmodel.ErrNoGeneration):
		missing = append(missing, errors.New("nothing has been projected yet: start `projector run`, which has to fold the erasure"))
	case err != nil:
		return err
	case !slices.ContainsFunc(st.Members, func(m admin.Member) bool { return m.SinceHeartbeat < e.Takeover }):
		missing = append(missing, errors.New("no projector runs: start `projector run`, which has to fold the erasure; where it refuses, it says what to do first"))
	}
	if len(missing) > 0 {
		return fmt.Errorf("account %s cannot be erased, and nothing was changed: %w", e.Account, errors.Join(missing...))
	}
	return nil
}

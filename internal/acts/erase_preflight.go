package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Inspect reads what stream, tables and ledger know of the account, and what has to
// be known of its messages before they go. heard is false where nothing knows the
// account: then there is nothing to erase.
func (e *Eraser) Inspect(ctx context.Context) (heard bool, err error) {
	e.needles = newIdentifiers(e.Account)
	e.first, e.Messages = stream.Erased{}, 0
	if e.owed, err = e.noted(ctx); err != nil {
		return false, err
	}
	err = e.Stream.ReadAccount(ctx, e.Account, 0, func(m projections.Message) error {
		heard = true
		d, err := projections.Decode(m)
		if err != nil {
			return err
		}
		if at, erases := stream.ErasureTime(m, e.Account); erases && e.first.Position == 0 {
			e.first = stream.Erased{Position: m.Position, At: at}
			return nil
		}
		e.needles.read(&d)
		e.Messages++
		return nil
	})
	if err != nil {
		return false, err
	}
	e.before = e.first
	// Messages may have been removed by hand, and rows be all that is left.
	if e.Rows, err = admin.FindTraces(ctx, e.Pool, e.Account, nil); err != nil {
		return false, err
	}
	for _, address := range e.Rows.Emails {
		e.needles.email(address)
	}
	e.ledger, err = admin.FindErasure(ctx, e.Pool, e.Account)
	if err != nil && !errors.Is(err, readmodel.ErrNotFound) {
		return false, err
	}
	if heard || e.owed || e.Rows.Rows > 0 || e.Rows.Erased || err == nil {
		return true, nil
	}
	// All there is of it may be on mistyped subjects.
	f, err := search(ctx, e.Stream, e.Account, e.needles, 0)
	if err != nil || f.left() > 0 {
		return true, err
	}
	e.Rows, err = admin.FindTraces(ctx, e.Pool, e.Account, e.needles.matchAny)
	return e.Rows.Rows > 0, err
}

// noted tells whether the erasure was begun before, and takes on the addresses
// that were known then: the messages that told them may be gone.
func (e *Eraser) noted(ctx context.Context) (begun bool, err error) {
	all, err := admin.PendingErasures(ctx, e.Pool, false)
	for _, o := range all {
		if o.Account == e.Account {
			begun = true
			for _, address := range o.Emails {
				e.needles.email(address)
			}
		}
	}
	return begun, err
}

// collect reads once more by which addresses the account is found, which may
// have changed since, and has them noted before any of its messages goes.
func (e *Eraser) collect(ctx context.Context) error {
	if err := e.needles.collect(ctx, e.Stream, e.Pool, e.Account); err != nil {
		return err
	}
	return admin.BeginErasure(ctx, e.Pool, e.Account, e.needles.emails(), false)
}

// Preflight names all that would keep the erasure from being done, before anything is.
func (e *Eraser) Preflight(ctx context.Context) (err error) {
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
		if _, err := admin.FindMissing(ctx, e.Pool, info); errors.Is(err, readmodel.ErrSchemaOutdated) {
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

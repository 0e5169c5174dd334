package acts

import (
	"context"
	"fmt"
	"slices"

	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/readmodel/admin"
)

// maxRounds is how often messages are removed and searched for: once, once more where the
// search has found strays, and twice for those that arrive meanwhile.
const maxRounds = 4

// round removes messages from the stream, fences builders that have read the account
// ahead, clears the tables, and searches for what is left. Strays are found by that
// search, which has to read all of the stream, and are removed by the next round:
// nothing is read twice where there are none.
func (e *Eraser) round(ctx context.Context, r *Receipt) (err error) {
	ctx, end := tracing.Phase(ctx, "round")
	defer func() { end(err) }()
	if err := e.collectAll(ctx); err != nil {
		return err
	}
	gaps := Gaps{e.Target}
	if err := gaps.recordRemovals(ctx, e.found.strays); err != nil {
		return err
	}
	n, err := e.remove(ctx, e.Stream, e.found.strays)
	if r.StraysRemoved += n; err != nil {
		return err
	}
	n, err = e.Stream.PurgeAccount(ctx, e.Account, e.first.Position, gaps.recordRemovals)
	if r.MessagesRemoved += n; err != nil {
		return err
	}
	info, err := e.Stream.Info(ctx)
	if err != nil {
		return err
	}
	failed, err := admin.AbandonUnfenceable(ctx, e.Pool, info.First)
	if r.Failed = append(r.Failed, failed...); err != nil {
		return err
	}
	rows, err := admin.ClearAccount(ctx, e.Pool, admin.AccountErasure{Account: e.Account, At: e.first.At, Position: e.first.Position, Stream: info,
		MistypedSubjects: e.found.subjects, Mentions: e.identifiers.matchAny, FenceAll: e.begun})
	if r.RowsRemoved += rows; err != nil {
		return err
	}
	f, err := searchAll(ctx, e.Stream, e.Pool, e.Account, e.identifiers, e.first.Position)
	if err != nil {
		return err
	}
	e.found = f
	r.MessagesSearched, r.MessagesLeft, r.ElsewhereAt, r.Unreadable = f.searched, f.remaining(), f.elsewhere, f.unreadable
	left, err := admin.FindTraces(ctx, e.Pool, e.Account, e.identifiers.matchAny)
	r.RowsLeft = left.Rows
	return err
}

func (e *Eraser) remove(ctx context.Context, from *stream.Client, positions []uint64) (removed int, err error) {
	for _, position := range positions {
		gone, err := from.DeleteMessage(ctx, position)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// purgeCopy removes the account from a copy of the stream, where PurgeCopies names it.
// Positions and subjects may be others there than in the stream.
func (e *Eraser) purgeCopy(ctx context.Context, name string) (c CopyReceipt, err error) {
	ctx, end := tracing.Phase(ctx, "purge copy")
	defer func() { end(err) }()
	c = CopyReceipt{Stream: name, Purged: slices.Contains(e.PurgeCopies, name)}
	if !c.Purged {
		return c, nil
	}
	from := e.Stream.WithStream(name)
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy %s: %w", name, err)
		}
	}()
	var f searchResult
	for range maxRounds {
		// The copy may hold addresses that the stream no longer holds.
		if err := e.identifiers.addFromStream(ctx, from, e.Account); err != nil {
			return c, err
		}
		if err := admin.BeginErasure(ctx, e.Pool, e.Account, e.identifiers.emails(), false); err != nil {
			return c, err
		}
		// Where the copy holds no account.erased, no message of the account has to
		// stay.
		first, err := from.FirstErased(ctx, e.Account)
		if err != nil {
			return c, err
		}
		n, err := e.remove(ctx, from, f.strays)
		if c.Removed += n; err != nil {
			return c, err
		}
		n, err = from.PurgeAccount(ctx, e.Account, first.Position, nil)
		if c.Removed += n; err != nil {
			return c, err
		}
		if f, err = searchAll(ctx, from, e.Pool, e.Account, e.identifiers, first.Position); err != nil {
			return c, err
		}
		if c.Searched, c.Left = f.searched, f.remaining(); c.Left == 0 {
			break
		}
	}
	return c, nil
}

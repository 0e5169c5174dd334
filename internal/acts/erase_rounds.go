package acts

import (
	"context"
	"fmt"
	"slices"

	"accountexport/internal/stream"
	"accountexport/readmodel/admin"
)

// rounds are how often it is looked for what has come meanwhile.
const rounds = 3

// round removes from the stream, fences who has read it already, clears the
// tables, and searches for what is left.
func (e *Eraser) round(ctx context.Context, r *Receipt) error {
	if err := e.collect(ctx); err != nil {
		return err
	}
	f, err := search(ctx, e.Stream, e.Account, e.needles, e.first.Position)
	if err != nil {
		return err
	}
	gaps := Gaps{e.Target}
	if err := gaps.book(ctx, f.strays); err != nil {
		return err
	}
	n, err := e.remove(ctx, e.Stream, f.strays)
	if r.StraysRemoved += n; err != nil {
		return err
	}
	n, err = e.Stream.PurgeAccount(ctx, e.Account, e.first.Position, gaps.book)
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
		MistypedSubjects: f.subjects, Mentions: e.needles.matchAny, FenceAll: e.owed})
	if r.RowsRemoved += rows; err != nil {
		return err
	}
	if f, err = searchAll(ctx, e.Stream, e.Pool, e.Account, e.needles, e.first.Position); err != nil {
		return err
	}
	r.MessagesSearched, r.MessagesLeft, r.ElsewhereAt, r.Unreadable = f.searched, f.left(), f.elsewhere, f.unreadable
	left, err := admin.FindTraces(ctx, e.Pool, e.Account, e.needles.matchAny)
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

// purgeCopy does in a copy, where it was asked for, what was done in the stream.
// Its positions may be others, and its subjects, too.
func (e *Eraser) purgeCopy(ctx context.Context, name string) (c CopyReceipt, err error) {
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
	for range rounds {
		// It may know addresses that nobody else does any more.
		if err := e.needles.readAll(ctx, from, e.Account); err != nil {
			return c, err
		}
		if err := admin.BeginErasure(ctx, e.Pool, e.Account, e.needles.emails(), false); err != nil {
			return c, err
		}
		// Where it has no erased event of its own, nothing has to stay.
		first, err := from.FirstErased(ctx, e.Account)
		if err != nil {
			return c, err
		}
		f, err := search(ctx, from, e.Account, e.needles, first.Position)
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
		if f, err = searchAll(ctx, from, e.Pool, e.Account, e.needles, first.Position); err != nil {
			return c, err
		}
		if c.Searched, c.Left = f.searched, f.left(); c.Left == 0 {
			break
		}
	}
	return c, nil
}

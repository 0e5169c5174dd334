package acts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// Erasing is one erasure: [Erasing.Look], [Erasing.Test], and then either
// [Erasing.Plan] or [Erasing.CarryOut], in this order. What is carried out is to
// publish, wait until it is projected, and then remove, fence, clear and prove, in
// rounds until nothing is left. What each step leaves behind, another erasing of
// the same account takes up again.
type Erasing struct {
	Target
	Account     events.UUID
	PurgeCopies []string                                        // streams that copy from this one, to remove the account from, too
	Takeover    time.Duration                                   // a projector that was silent for so long counts as dead
	Waiting     func(generation int64, position, erased uint64) // told now and then of the live generation while it is behind the event; default: nobody

	// What Look has found.
	Messages int              // in the stream, beside the first erased event
	Rows     readmodel.Traces // in the tables

	first   stream.Erased     // the first erased event in the stream; its position is 0 where there is none
	before  stream.Erased     // the same before anything was done
	ledger  readmodel.Erasure // the account's entry, where it has one
	owed    bool              // the erasure was begun before, and cut off
	copies  []string
	needles needles
}

// Look reads what stream, tables and ledger know of the account, and what has to
// be known of its messages before they go. heard is false where nothing knows the
// account: then there is nothing to erase.
func (e *Erasing) Look(ctx context.Context) (heard bool, err error) {
	e.needles = needlesOf(e.Account)
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
		if at, erases := stream.Erases(m, e.Account); erases && e.first.Position == 0 {
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
	if e.Rows, err = readmodel.LookFor(ctx, e.Pool, e.Account, nil); err != nil {
		return false, err
	}
	for _, address := range e.Rows.Emails {
		e.needles.email(address)
	}
	e.ledger, err = readmodel.FindErasure(ctx, e.Pool, e.Account)
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
	e.Rows, err = readmodel.LookFor(ctx, e.Pool, e.Account, e.needles.in)
	return e.Rows.Rows > 0, err
}

// noted tells whether the erasure was begun before, and takes on the addresses
// that were known then: the messages that told them may be gone.
func (e *Erasing) noted(ctx context.Context) (begun bool, err error) {
	all, err := readmodel.OwedErasures(ctx, e.Pool, false)
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
func (e *Erasing) collect(ctx context.Context) error {
	if err := e.Stream.ReadAccount(ctx, e.Account, 0, func(m projections.Message) error {
		d, err := projections.Decode(m)
		if err == nil {
			e.needles.read(&d)
		}
		return err
	}); err != nil {
		return err
	}
	rows, err := readmodel.LookFor(ctx, e.Pool, e.Account, nil)
	if err != nil {
		return err
	}
	for _, address := range rows.Emails {
		e.needles.email(address)
	}
	return readmodel.OweErasure(ctx, e.Pool, e.Account, e.needles.emails(), false)
}

// Test names all that would keep the erasure from being done, before anything is.
func (e *Erasing) Test(ctx context.Context) (err error) {
	missing := e.Stream.CanErase(ctx, e.Account)
	if e.copies, err = e.Stream.Copies(ctx); err != nil {
		missing = append(missing, err)
	}
	for _, name := range e.PurgeCopies {
		if err == nil && !slices.Contains(e.copies, name) {
			missing = append(missing, fmt.Errorf("--purge-copies: stream %s is no copy of stream %s that this connection can see", name, e.Stream.Stream()))
			continue
		}
		missing = append(missing, e.Stream.On(name).CanRemove(ctx)...)
	}
	if err := readmodel.CanErase(ctx, e.Pool); err != nil {
		missing = append(missing, err)
	}
	if info, err := e.Stream.Info(ctx); err == nil {
		if _, err := readmodel.FindMissing(ctx, e.Pool, info); errors.Is(err, readmodel.ErrSchema) {
			missing = append(missing, err)
		}
	}
	if err := readmodel.CheckPaused(ctx, e.Pool); errors.Is(err, projections.ErrPaused) {
		missing = append(missing, err)
	} else if err != nil {
		return err
	}
	st, err := readmodel.Inspect(ctx, e.Pool)
	switch {
	case errors.Is(err, readmodel.ErrNoGeneration):
		missing = append(missing, errors.New("nothing has been projected yet: start `projector run`, which has to fold the erasure"))
	case err != nil:
		return err
	case !slices.ContainsFunc(st.Members, func(m readmodel.Member) bool { return m.Silent < e.Takeover }):
		missing = append(missing, errors.New("no projector runs: start `projector run`, which has to fold the erasure; where it refuses, it says what to do first"))
	}
	if len(missing) > 0 {
		return fmt.Errorf("account %s cannot be erased, and nothing was changed: %w", e.Account, errors.Join(missing...))
	}
	return nil
}

// rounds are how often it is looked for what has come meanwhile.
const rounds = 3

// CarryOut erases. Before anything is done it is noted that it is to be, until it
// is proven. A receipt says by [Receipt.Left] whether anything is left.
func (e *Erasing) CarryOut(ctx context.Context) (*Receipt, error) {
	if err := readmodel.OweErasure(ctx, e.Pool, e.Account, e.needles.emails(), false); err != nil {
		return nil, err
	}
	if err := e.publish(ctx); err != nil {
		return nil, err
	}
	if err := e.projected(ctx); err != nil {
		return nil, err
	}
	r := &Receipt{Account: e.Account.String(), ErasedAt: e.first.Position, Failed: []int64{}, Copies: []CopyReceipt{},
		Searched: searchedAll, NotSeen: notSeen}
	for range rounds {
		if err := e.round(ctx, r); err != nil {
			return nil, err
		}
		if r.MessagesLeft == 0 && r.RowsLeft == 0 {
			break
		}
	}
	for _, name := range e.copies {
		c, err := e.purgeCopy(ctx, name)
		if err != nil {
			return nil, err
		}
		r.Copies = append(r.Copies, c)
	}
	r.Already = e.before.Position > 0 && r.MessagesRemoved+r.StraysRemoved+int(r.RowsRemoved) == 0
	r.Done = time.Now().UTC()
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return r, nil
	}
	digest := ""
	if r.Left() == nil { // a receipt of what copies keep is none
		var err error
		if digest, err = r.digest(); err != nil {
			return nil, err
		}
	}
	return r, readmodel.EndErasure(ctx, e.Pool, e.Account, digest)
}

// publish makes sure that the stream holds the event, with the time that it had
// where the account was erased before.
func (e *Erasing) publish(ctx context.Context) (err error) {
	if e.first.Position > 0 {
		return nil
	}
	at := time.Now()
	if !e.ledger.ErasedAt.IsZero() {
		at = e.ledger.ErasedAt
	}
	e.first, err = e.Stream.PublishErased(ctx, e.Account, at)
	return err
}

// noProgress is how long the projector may take for nothing.
const noProgress = 30 * time.Second

// projected waits until the live generation has the erasure, and all partitions
// have come so far: what is removed must not move the stream's beginning past a
// checkpoint, for the guard to see.
func (e *Erasing) projected(ctx context.Context) error {
	exports := readmodel.NewExports(e.Pool)
	var best uint64
	moved, said := time.Now(), time.Now()
	for {
		g, err := readmodel.Live(ctx, e.Pool)
		if err != nil {
			return err
		}
		lowest, err := readmodel.Lowest(ctx, e.Pool, g.Number)
		if err != nil {
			return err
		}
		m, err := exports.Meta(ctx, e.Account)
		if err != nil {
			return err
		}
		switch {
		case lowest < e.first.Position:
		case m.State == readmodel.Erased:
			return nil
		default: // waiting longer helps nobody
			return fmt.Errorf("account.erased is published at position %d of stream %s, and generation %d, which stands at %d, has not erased the account by it: "+
				"does `projector run` follow that stream? Nothing is removed", e.first.Position, e.Stream.Stream(), g.Number, lowest)
		}
		if err := readmodel.CheckPaused(ctx, e.Pool); err != nil {
			return fmt.Errorf("account.erased is published at position %d, and not projected: %w. Nothing is removed yet; run the same command "+
				"again then", e.first.Position, err)
		}
		if lowest > best {
			best, moved = lowest, time.Now()
		}
		if time.Since(moved) > noProgress {
			return fmt.Errorf("account.erased is published at position %d, and generation %d stands at %d for %v: is `projector run` running? "+
				"Nothing is removed yet; run the same command again", e.first.Position, g.Number, lowest, noProgress)
		}
		if time.Since(said) > 2*time.Second && e.Waiting != nil {
			said = time.Now()
			e.Waiting(g.Number, lowest, e.first.Position)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// round removes from the stream, fences who has read it already, clears the
// tables, and searches for what is left.
func (e *Erasing) round(ctx context.Context, r *Receipt) error {
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
	n, err = e.Stream.RemoveAccount(ctx, e.Account, e.first.Position, gaps.book)
	if r.MessagesRemoved += n; err != nil {
		return err
	}
	info, err := e.Stream.Info(ctx)
	if err != nil {
		return err
	}
	failed, err := readmodel.FailBuilding(ctx, e.Pool, info.First)
	if r.Failed = append(r.Failed, failed...); err != nil {
		return err
	}
	rows, err := readmodel.Clear(ctx, e.Pool, readmodel.Clearing{Account: e.Account, At: e.first.At, Tomb: e.first.Position, Stream: info,
		Strays: f.subjects, Mention: e.needles.in, Everybody: e.owed})
	if r.RowsRemoved += rows; err != nil {
		return err
	}
	if f, err = searchAll(ctx, e.Stream, e.Pool, e.Account, e.needles, e.first.Position); err != nil {
		return err
	}
	r.MessagesSearched, r.MessagesLeft, r.ElsewhereAt, r.Unreadable = f.searched, f.left(), f.elsewhere, f.unreadable
	left, err := readmodel.LookFor(ctx, e.Pool, e.Account, e.needles.in)
	r.RowsLeft = left.Rows
	return err
}

func (e *Erasing) remove(ctx context.Context, from *stream.Client, positions []uint64) (removed int, err error) {
	for _, position := range positions {
		gone, err := from.Remove(ctx, position)
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
func (e *Erasing) purgeCopy(ctx context.Context, name string) (c CopyReceipt, err error) {
	c = CopyReceipt{Stream: name, Purged: slices.Contains(e.PurgeCopies, name)}
	if !c.Purged {
		return c, nil
	}
	from := e.Stream.On(name)
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy %s: %w", name, err)
		}
	}()
	for range rounds {
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
		n, err = from.RemoveAccount(ctx, e.Account, first.Position, nil)
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

package acts

import (
	"context"
	"fmt"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// Eraser is one erasure: [Eraser.Inspect], [Eraser.Preflight], and then either
// [Eraser.Plan] or [Eraser.Run], in this order. What is carried out is to
// publish, wait until it is projected, and then remove, fence, clear and prove, in
// rounds until nothing is left. What each step leaves behind, another erasing of
// the same account takes up again.
type Eraser struct {
	Target
	Account     events.UUID
	PurgeCopies []string                                        // streams that copy from this one, to remove the account from, too
	Takeover    time.Duration                                   // a projector that was silent for so long counts as dead
	OnWait      func(generation int64, position, erased uint64) // told now and then of the live generation while it is behind the event; default: nobody

	// What Look has found.
	Messages int          // in the stream, beside the first erased event
	Rows     admin.Traces // in the tables

	first   stream.Erased // the first erased event in the stream; its position is 0 where there is none
	before  stream.Erased // the same before anything was done
	ledger  admin.Erasure // the account's entry, where it has one
	owed    bool          // the erasure was begun before, and cut off
	copies  []string
	needles identifiers
}

// Run erases. Before anything is done it is noted that it is to be, until it
// is proven. A receipt says by [Receipt.Incomplete] whether anything is left.
func (e *Eraser) Run(ctx context.Context) (*Receipt, error) {
	if err := admin.BeginErasure(ctx, e.Pool, e.Account, e.needles.emails(), false); err != nil {
		return nil, err
	}
	if err := e.publish(ctx); err != nil {
		return nil, err
	}
	if err := e.awaitProjected(ctx); err != nil {
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
	if r.Incomplete() != nil { // what copies keep may come back, and is found by what is noted
		return r, admin.MarkErasedLocally(ctx, e.Pool, e.Account)
	}
	digest, err := r.digest()
	if err != nil {
		return nil, err
	}
	return r, admin.CompleteErasure(ctx, e.Pool, e.Account, digest)
}

// publish makes sure that the stream holds the event, with the time that it had
// where the account was erased before.
func (e *Eraser) publish(ctx context.Context) (err error) {
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

// awaitProjected waits until the live generation has the erasure, and all partitions
// have come so far: what is removed must not move the stream's beginning past a
// checkpoint, for the guard to see.
func (e *Eraser) awaitProjected(ctx context.Context) error {
	exports := export.NewReader(e.Pool)
	var best uint64
	moved, said := time.Now(), time.Now()
	for {
		g, err := readmodel.LiveGeneration(ctx, e.Pool)
		if err != nil {
			return err
		}
		lowest, err := readmodel.LowestPosition(ctx, e.Pool, g.Number)
		if err != nil {
			return err
		}
		m, err := exports.Meta(ctx, e.Account)
		if err != nil {
			return err
		}
		switch {
		case lowest < e.first.Position:
		case m.State == export.Erased:
			return nil
		default: // waiting longer helps nobody
			return fmt.Errorf("account.erased is published at position %d of stream %s, and generation %d, which stands at %d, has not erased the account by it: "+
				"does `projector run` follow that stream? Nothing is removed", e.first.Position, e.Stream.Stream(), g.Number, lowest)
		}
		if err := readmodel.CheckPaused(ctx, e.Pool); err != nil {
			return fmt.Errorf("account.erased is published at position %d, and not projected: %w. Nothing is removed yet; `projector erase --account %s` goes on then", e.first.Position, err, e.Account)
		}
		if lowest > best {
			best, moved = lowest, time.Now()
		}
		if time.Since(moved) > noProgress {
			return fmt.Errorf("account.erased is published at position %d, and generation %d stands at %d for %v: is `projector run` running? "+
				"Nothing is removed yet; `projector erase --account %s` goes on", e.first.Position, g.Number, lowest, noProgress, e.Account)
		}
		if time.Since(said) > 2*time.Second && e.OnWait != nil {
			said = time.Now()
			e.OnWait(g.Number, lowest, e.first.Position)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

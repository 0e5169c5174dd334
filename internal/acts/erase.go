package acts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// Eraser is one erasure: [Eraser.Inspect], [Eraser.Preflight], and then either
// [Eraser.Plan] or [Eraser.Run], in this order and one at a time. Run publishes
// account.erased, waits until it is projected, and then removes messages, fences
// builders, clears the tables and proves that nothing is left, in rounds. Another
// Eraser of the same account goes on where this one was cut off.
type Eraser struct {
	Target

	// Options, set before Inspect.
	Account     events.UUID
	PurgeCopies []string      // copies of the stream from which the account is removed, too
	Takeover    time.Duration // a replica without a heartbeat for so long counts as dead
	// called now and then while the live generation is behind the event; default: nobody
	OnWait func(generation int64, position, erased uint64)
	// called when Run begins with something else, with what that is, in words; default:
	// nobody
	OnStep func(what string)

	// Results of Inspect.
	Messages int          // of the account in the stream, beside the first account.erased
	Rows     admin.Traces // in the tables

	// Set by Inspect.
	// the first account.erased in the stream; its position is 0 where there is none. Run
	// sets it where it publishes one
	first       stream.Erased
	firstBefore stream.Erased // the same before anything was done
	ledger      admin.Erasure // the entry of the account on the ledger of erasures, where it has one
	begun       bool          // the erasure was begun before, and cut off
	identifiers identifiers   // Run adds those that it finds later

	copies []string     // of the stream; set by Preflight
	found  searchResult // by the last round of Run
}

// Run erases the account. The erasure is recorded before anything is done, and is
// pending until it is proven: cut off, another Run completes it. Where anything is
// left, the receipt says so by [Receipt.Incomplete].
func (e *Eraser) Run(ctx context.Context) (*Receipt, error) {
	if err := admin.BeginErasure(ctx, e.Pool, e.Account, e.identifiers.emails(), false); err != nil {
		return nil, err
	}
	e.step("publish account.erased, unless the stream holds it")
	if err := e.publish(ctx); err != nil {
		return nil, err
	}
	e.step("wait until position %d, account.erased, is projected", e.first.Position)
	if err := e.awaitProjected(ctx); err != nil {
		return nil, err
	}
	r := &Receipt{Account: e.Account.String(), ErasedAt: e.first.Position, Failed: []int64{}, Copies: []CopyReceipt{},
		Searched: searchedAll, NotSeen: notSeen}
	for n := range maxRounds {
		e.step("remove messages and rows, and search all of the stream and the tables for what is left, round %d", n+1)
		if err := e.round(ctx, r); err != nil {
			return nil, err
		}
		if r.MessagesLeft == 0 && r.RowsLeft == 0 {
			break
		}
	}
	for _, name := range e.copies {
		if slices.Contains(e.PurgeCopies, name) {
			e.step("remove the account from stream %s, a copy, and search it", name)
		}
		c, err := e.purgeCopy(ctx, name)
		if err != nil {
			return nil, err
		}
		r.Copies = append(r.Copies, c)
	}
	r.Already = e.firstBefore.Position > 0 && r.MessagesRemoved+r.StraysRemoved+int(r.RowsRemoved) == 0
	r.Done = time.Now().UTC()
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return r, nil
	}
	if r.Incomplete() != nil { // messages in copies may come back, and the record is what finds them then
		return r, admin.MarkErasedLocally(ctx, e.Pool, e.Account)
	}
	digest, err := r.digest()
	if err != nil {
		return nil, err
	}
	return r, admin.CompleteErasure(ctx, e.Pool, e.Account, digest)
}

func (e *Eraser) step(format string, args ...any) {
	if e.OnStep != nil {
		e.OnStep(fmt.Sprintf(format, args...))
	}
}

// publish makes sure that the stream holds account.erased. Where the account is on the
// ledger, the event has the time of its erasure.
func (e *Eraser) publish(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "publish erasure")
	defer func() { end(err) }()
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

// noProgress is how long to wait for a projector that makes no progress.
const noProgress = 30 * time.Second

// awaitProjected waits until the live generation has folded the erasure, and every
// partition has reached its position: otherwise removing messages could move the
// beginning of the stream past a checkpoint, and the stream would be refused.
func (e *Eraser) awaitProjected(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "await projection")
	defer func() { end(err) }()
	exports := export.NewReader(e.Pool)
	var best uint64
	moved, reported := time.Now(), time.Now()
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
		default: // the position was folded without erasing the account, so waiting does not help
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
		if time.Since(reported) > 2*time.Second && e.OnWait != nil {
			reported = time.Now()
			e.OnWait(g.Number, lowest, e.first.Position)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

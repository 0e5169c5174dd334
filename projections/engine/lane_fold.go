package engine

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
)

// fold adds the messages to the current batch. Whenever the batch is full and
// there are more messages, it begins to commit it.
func (l *lane) fold(ctx context.Context, w laneInput) error {
	for rest := w.messages; len(rest) > 0; {
		some := rest[:min(len(rest), l.groupSize)]
		if err := l.foldGroup(ctx, some); err != nil {
			return err
		}
		l.upTo = max(l.upTo, some[len(some)-1].Position)
		if rest = rest[len(some):]; len(rest) > 0 && l.cur.full(l.bound) {
			if err := l.rotateBatch(ctx); err != nil {
				return err
			}
		}
	}
	l.upTo = max(l.upTo, w.upTo)
	if w.advanceAll && len(l.checkpoints) > 0 {
		l.cur.advanceAll = true
		l.asOf = w.asOf
	}
	return nil
}

// messageGroup is the memory for messages that are looked up together.
type messageGroup struct {
	decoded []projections.Decoded
	entries []*cacheEntry // of each message's account, as load has found it; nil where it has none
}

// foldGroup folds messages that are looked up together. It drops messages of
// partitions that the lane does not have: those were fenced, and are sent again
// after the rewind.
func (l *lane) foldGroup(ctx context.Context, messages []projections.Message) error {
	// The memory is used again by the next group: nothing may refer to it afterwards.
	// Clearing it lets go of the payloads.
	decoded := l.group.decoded[:0]
	defer func() {
		clear(decoded)
		clear(l.group.entries)
		l.group.decoded, l.group.entries = decoded[:0], l.group.entries[:0]
	}()
	for i := range messages {
		m := &messages[i]
		if l.checkpoints[m.Partition] == nil {
			continue
		}
		d, err := projections.Decode(*m)
		if err != nil {
			return err
		}
		decoded = append(decoded, d)
	}
	ctx = l.traceFold(ctx, decoded)
	bytes, err := l.load(ctx, decoded)
	if err != nil {
		return l.cur.failed(l.placeMessages(err, decoded))
	}
	l.adaptGroupSize(len(messages), bytes)
	for i := range decoded {
		if err := l.foldOne(ctx, &decoded[i], l.group.entries[i]); err != nil {
			return l.placeMessages(err, decoded[i:i+1])
		}
	}
	l.cur.noteLastMessages(decoded)
	return nil
}

// How many messages are looked up together: at first, and at most.
const (
	initialGroupSize = 64
	maxGroupSize     = 2048
)

// adaptGroupSize chooses how many messages are looked up together next, so that
// the store's answers stay within an eighth of the batch's bound: a message may
// need anything from nothing to an item of the largest size a message can have.
func (l *lane) adaptGroupSize(messages, bytes int) {
	most := l.bound.Bytes / 8
	switch {
	case bytes > most:
		l.groupSize = max(1, int(float64(messages)*float64(most)/float64(bytes)))
	case messages >= l.groupSize:
		l.groupSize = min(2*l.groupSize, maxGroupSize)
	}
}

// foldOne folds one message whose states are loaded.
func (l *lane) foldOne(ctx context.Context, d *projections.Decoded, e *cacheEntry) error {
	switch d.To.Kind {
	case events.SubjectAccount:
		return l.foldAccount(ctx, d, e)
	case events.SubjectTier:
		t, out := projections.DefineTier(d)
		if t != nil {
			l.cur.tiers[t.ID] = t
		}
		if out == projections.Parked {
			l.cur.park(d, nil, d.Invalid)
		}
		l.cur.count(&d.Message, d.TypeLabel(), out)
	default:
		l.cur.park(d, nil, d.Invalid)
		l.cur.count(&d.Message, d.TypeLabel(), projections.Parked)
	}
	return nil
}

// foldAccount folds one message of an account. Where the fold needs more than load
// could foresee, it asks the store and tries again.
func (l *lane) foldAccount(ctx context.Context, d *projections.Decoded, e *cacheEntry) error {
	if e == nil {
		return fmt.Errorf("account %s at position %d: %w", d.To.Account, d.Position, projections.ErrNotLoaded)
	}
	label := d.TypeLabel()
	wasErased := e.Erased()
	if wasErased {
		label = projections.OtherType
	}
	out, err := e.Apply(d)
	for err != nil && out != projections.Parked && errors.Is(err, projections.ErrNotLoaded) {
		var needed bool
		if needed, _, err = l.lookup(ctx, []*projections.Decoded{d}); err != nil {
			return err
		}
		if !needed {
			return fmt.Errorf("account %s at position %d: %w, and nothing to ask for", d.To.Account, d.Position, projections.ErrNotLoaded)
		}
		out, err = e.Apply(d)
	}
	switch {
	case out == projections.Parked:
		account := d.To.Account // in memory of its own
		l.cur.park(d, &account, err)
	case err != nil:
		return err
	}
	if e.Wiped() {
		l.cur.unpark(d.To.Account)
	}
	if !wasErased {
		l.cur.markDirty(e, len(d.Data))
	}
	l.cur.count(&d.Message, label, out)
	return nil
}

package admin

import (
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/internal/spill"
	"accountexport/projections"
)

// accountFold is an account's fold and what it has come to: the state up to a position,
// which is staged, and what came after it.
type accountFold struct {
	*projections.Refold
	account events.UUID
	upTo    uint64 // every message up to here was read
	begun   bool
	room    int          // bytes that it may take in memory
	spill   *spill.Spill // what it had no room for; nil: nothing

	base   projections.Change          // the account as it is staged; of what is in spill it has the row alone
	parked []projections.ParkedMessage // by then
	delta  *projections.Change         // what came after it; nil where nothing did

	sum   Sum // of both
	facts Facts
}

// newRefold begins a fold that takes about room bytes of memory, whatever the account
// holds, and an index of what it had no room for.
func newRefold(account events.UUID, room int) *accountFold {
	return &accountFold{Refold: projections.NewRefold(account), account: account, room: room}
}

func (f *accountFold) close() {
	if f.spill != nil {
		f.spill.Close()
		f.spill = nil
	}
}

// foldUpTo folds the messages up to a position that the fold has not seen; rebased
// tells whether base is another one now, as it is at first, and where the account was
// erased since.
func (f *accountFold) foldUpTo(ctx context.Context, read ReadAccount, upTo uint64) (rebased bool, err error) {
	if upTo > f.upTo {
		err := read(ctx, f.account, f.upTo, upTo, func(m projections.Message) error {
			if m.Position <= f.upTo || m.Position > upTo {
				return nil
			}
			if err := f.apply(m); err != nil {
				return fmt.Errorf("%w: position %d: %w", ErrUnfoldable, m.Position, err)
			}
			if f.begun || len(f.Outcomes)%16 != 0 && len(m.Data) < 64<<10 || f.State.Size() < f.room {
				return nil // what came since it was staged is little
			}
			return f.evict()
		})
		if err != nil {
			return false, fmt.Errorf("fold account %s: %w", f.account, err)
		}
		f.upTo = upTo
	}
	first := !f.begun
	if f.begun = true; !first && f.State.Position() == f.sum.Position {
		return false, nil
	}
	c, err := f.State.Flush()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnfoldable, err)
	}
	f.sum.AddChange(&c)
	f.facts.AddChange(&c)
	if !first && !c.Replaces {
		f.delta = &c
		return false, nil
	}
	if f.spill != nil && !first { // it was erased
		f.close()
	}
	if f.spill != nil {
		if err := f.spill.Add(&c); err != nil {
			return false, err
		}
		f.State.Trim()
		f.addRow(&c)
	} else {
		f.base = c
	}
	f.base.New, f.base.Replaces = false, true
	f.parked, f.delta = slices.Clone(f.Parked), nil
	return true, nil
}

func (f *accountFold) apply(m projections.Message) error {
	d, err := projections.Decode(m)
	if err == nil && f.spill != nil {
		err = f.spill.Hydrate(f.State, &d)
	}
	if err != nil {
		return err
	}
	return f.ApplyDecoded(&d)
}

// evict writes the parts to the file that can be looked up again.
func (f *accountFold) evict() (err error) {
	if f.spill == nil {
		if f.spill, err = spill.New(); err != nil {
			return err
		}
	}
	c, err := f.State.Flush()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnfoldable, err)
	}
	f.sum.AddChange(&c)
	f.facts.AddChange(&c)
	if err := f.spill.Add(&c); err != nil {
		return err
	}
	f.addRow(&c)
	f.State.Trim()
	return nil
}

// addRow brings base's row, and its sums, to where a change that is in spill has come
// to. Of the row a change has those texts that it has changed.
func (f *accountFold) addRow(c *projections.Change) {
	row := c.Row
	if !c.New && !c.Replaces {
		for _, text := range []struct {
			now    *[]byte
			before []byte
		}{{&row.User, f.base.Row.User}, {&row.Team, f.base.Row.Team}, {&row.Usage, f.base.Row.Usage}, {&row.Keys, f.base.Row.Keys},
			{&row.Sandboxes, f.base.Row.Sandboxes}} {
			if *text.now == nil {
				*text.now = text.before
			}
		}
	}
	f.base = projections.Change{Row: row, Messages: f.sum.Messages, Digest: f.sum.Digest}
}

// partBytes is how much of what is in spill is in memory at a time.
const partBytes = 1 << 20

// eachPart calls do with everything of base beside the row.
func (f *accountFold) eachPart(do func(projections.Change) error) error {
	if f.spill == nil {
		return do(f.base)
	}
	return f.spill.Each(partBytes, func(c projections.Change) error {
		c.Row.ID = f.account
		return do(c)
	})
}

// extent is how much base holds.
func (f *accountFold) extent() (e projections.Extent, err error) {
	e = projections.ExtentOf(&f.base.Row)
	return e, f.eachPart(func(c projections.Change) error {
		for i := range c.Pages {
			e.AddPage(c.Pages[i].Section, c.Pages[i].Body)
		}
		return nil
	})
}

// parkedSince is what was parked after base.
func (f *accountFold) parkedSince() []projections.ParkedMessage {
	return slices.Clone(f.Parked[len(f.parked):])
}

// row is the account's row in the end; of its sections it has those that changed
// last.
func (f *accountFold) row() *projections.AccountRow {
	if f.delta != nil {
		return &f.delta.Row
	}
	return &f.base.Row
}

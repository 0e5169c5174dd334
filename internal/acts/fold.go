package acts

import (
	"context"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// spillAt is about how many bytes of an account are folded in memory before what
// can be asked for again goes to a file.
const spillAt = 8 << 20

// fold is an account as the stream has it, up to where the live generation has
// read it. It takes about spillAt of memory, whatever the account holds, beside
// an index of the items that were let go of.
type fold struct {
	state    *projections.Account
	messages int
	total    admin.Sum // of what was flushed
	facts    admin.Facts
	spill    *spill // nil until memory has no room
	most     int    // [spillAt]
}

func newFold(id events.UUID) *fold { return &fold{state: projections.NewAccount(id), most: spillAt} }

// close gives back what the fold has on disk; it may be asked for its sum before.
func (f *fold) close() {
	if f.spill != nil {
		f.spill.close()
	}
}

func (f *fold) apply(m projections.Message) error {
	d, err := projections.Decode(m)
	if err != nil {
		return err
	}
	f.messages++
	if f.spill != nil {
		if err := f.supply(&d); err != nil {
			return err
		}
	}
	if out, err := f.state.Apply(&d); err != nil && out != projections.Parked {
		return err
	}
	if f.messages%16 != 0 && len(m.Data) < 64<<10 || f.state.Size() < f.most {
		return nil
	}
	return f.evict()
}

// supply gives the state what a message needs of what was let go of.
func (f *fold) supply(d *projections.Decoded) error {
	for {
		needs, err := f.state.Lookups(d)
		if err != nil || len(needs) == 0 {
			return err
		}
		for _, n := range needs {
			answer, err := f.spill.answer(n)
			if err == nil {
				err = f.state.Hydrate(&answer)
			}
			if err != nil {
				return err
			}
		}
	}
}

// evict writes what can be asked for again to the file.
func (f *fold) evict() (err error) {
	if f.spill == nil {
		if f.spill, err = newSpill(); err != nil {
			return err
		}
	}
	c, err := f.flush()
	if err != nil {
		return err
	}
	if err := f.spill.take(&c); err != nil {
		return err
	}
	f.state.Trim()
	return nil
}

func (f *fold) flush() (projections.Change, error) {
	c, err := f.state.Flush()
	f.total.AddChange(&c)
	f.facts.AddChange(&c)
	return c, err
}

// sum is what the fold has come to. It flushes the state, so it is asked for
// last.
func (f *fold) sum() (admin.Sum, error) {
	if f.messages == 0 {
		return admin.Sum{}, nil
	}
	_, err := f.flush()
	return f.total, err
}

// foldAccount folds an account's messages up to the checkpoints held. pace is
// told of every message that is read.
func (t Target) foldAccount(ctx context.Context, id events.UUID, h *admin.StoredAccounts, pace ReadLimit) (*fold, error) {
	f := newFold(id)
	var end uint64
	for _, position := range h.Checkpoints {
		end = max(end, position)
	}
	if end == 0 {
		return f, nil
	}
	return f, t.Stream.ReadAccount(ctx, id, end, func(m projections.Message) error {
		if err := pace.read(ctx, &m); err != nil || m.Position > h.CheckpointOf(&m) {
			return err
		}
		return f.apply(m)
	})
}

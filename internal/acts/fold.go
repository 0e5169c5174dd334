package acts

import (
	"context"

	"accountexport/events"
	"accountexport/internal/spill"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// spillAt is about how many bytes of an account are kept in memory before parts of it
// are written to a file.
const spillAt = 8 << 20

// fold folds the messages of one account up to the checkpoint of the live generation.
// It takes about spillAt bytes of memory, whatever the account holds, and an index of
// the items that were evicted.
type fold struct {
	state    *projections.Account
	messages int
	total    admin.Sum // of what was flushed
	facts    admin.Facts
	spill    *spill.Spill // nil until parts were evicted
	limit    int          // spillAt; less in tests
}

func newFold(id events.UUID) *fold { return &fold{state: projections.NewAccount(id), limit: spillAt} }

// close removes the file. The sum has to be taken before.
func (f *fold) close() {
	if f.spill != nil {
		f.spill.Close()
	}
}

func (f *fold) apply(m projections.Message) error {
	d, err := projections.Decode(m)
	if err != nil {
		return err
	}
	f.messages++
	if f.spill != nil {
		if err := f.spill.Hydrate(f.state, &d); err != nil {
			return err
		}
	}
	if out, err := f.state.Apply(&d); err != nil && out != projections.Parked {
		return err
	}
	if f.messages%16 != 0 && len(m.Data) < 64<<10 || f.state.Size() < f.limit {
		return nil
	}
	return f.evict()
}

// evict writes the parts to the file that can be looked up again.
func (f *fold) evict() (err error) {
	if f.spill == nil {
		if f.spill, err = spill.New(); err != nil {
			return err
		}
	}
	c, err := f.flush()
	if err != nil {
		return err
	}
	if err := f.spill.Add(&c); err != nil {
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

// sum is the result of the fold. It flushes the state, so no message may be applied
// afterwards.
func (f *fold) sum() (admin.Sum, error) {
	if f.messages == 0 {
		return admin.Sum{}, nil
	}
	_, err := f.flush()
	return f.total, err
}

// foldAccount folds the messages of an account up to the checkpoints that were read
// with it. The limit slows the reading down.
func (t Target) foldAccount(ctx context.Context, id events.UUID, h *admin.StoredAccounts, limit ReadLimit) (*fold, error) {
	f := newFold(id)
	var end uint64
	for _, position := range h.Checkpoints {
		end = max(end, position)
	}
	if end == 0 {
		return f, nil
	}
	return f, t.Stream.ReadAccount(ctx, id, end, func(m projections.Message) error {
		if err := limit.read(ctx, &m); err != nil || m.Position > h.CheckpointOf(&m) {
			return err
		}
		return f.apply(m)
	})
}

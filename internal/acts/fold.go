package acts

import (
	"context"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// fold is an account as the stream has it, up to where the live generation has
// read it.
type fold struct {
	state    *projections.Account
	messages int
}

func newFold(id events.UUID) *fold { return &fold{state: projections.NewAccount(id)} }

func (f *fold) apply(m projections.Message) error {
	d, err := projections.Decode(m)
	if err != nil {
		return err
	}
	f.messages++
	if out, err := f.state.Apply(&d); err != nil && out != projections.Parked {
		return err
	}
	return nil
}

// sum is what the fold has come to. It flushes the state, so it is asked for
// once.
func (f *fold) sum() (readmodel.Sum, error) {
	if f.messages == 0 {
		return readmodel.Sum{}, nil
	}
	c, err := f.state.Flush()
	return readmodel.Sum{Position: c.Row.Position, Messages: c.Messages, Digest: c.Digest}, err
}

// foldAccount folds an account's messages up to the checkpoints held. pace is
// told of every message that is read.
func (t Target) foldAccount(ctx context.Context, id events.UUID, h *readmodel.Held, pace Pace) (*fold, error) {
	f := newFold(id)
	var end uint64
	for _, position := range h.Checkpoints {
		end = max(end, position)
	}
	if end == 0 {
		return f, nil
	}
	return f, t.Stream.ReadAccount(ctx, id, end, func(m projections.Message) error {
		if err := pace.read(ctx, &m); err != nil || m.Position > h.UpTo(&m) {
			return err
		}
		return f.apply(m)
	})
}

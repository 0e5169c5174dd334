package acts

import (
	"context"

	"accountexport/readmodel/admin"
)

// Finding is an account that the audit found to differ.
type Finding struct {
	Verdict
	StreamBegins uint64
	Advice       string // what repairs it without a loss
}

// Auditor compares accounts with the stream, drawn at random from the read model and
// from the stream in turn, within its limit.
type Auditor struct {
	Verifier
	turn int
}

// Next draws an account and verifies it. It returns nil where nothing differs, or no
// account was found. A difference has to be found twice: an erasure may have removed
// messages between the two reads of one verification.
func (a *Auditor) Next(ctx context.Context) (*Finding, error) {
	if gone, err := admin.HistoryGone(ctx, a.Pool); err != nil || gone {
		return nil, err // there is nothing to compare the accounts with
	}
	if err := a.Limit.account(ctx); err != nil {
		return nil, err
	}
	a.turn++
	a.digestOnly = true
	id, drawn, err := a.draw(ctx, a.turn)
	if err != nil || !drawn {
		return nil, err
	}
	var found Verdict
	for range 2 {
		v, err := a.Verify(ctx, id)
		if err != nil || v.Same() || v.Due {
			return nil, err
		}
		found = v
	}
	// A difference from a stream that is refused says nothing about what is stored.
	info, err := a.CheckStream(ctx)
	if IsRefusal(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Finding{found, info.First, advice(found, info.First)}, nil
}

// advice says what repairs a difference without a loss. Where the stream may have lost
// messages of the account, or holds fewer, refolding would replace a good document with
// what is left.
func advice(v Verdict, begins uint64) string {
	switch {
	case v.Position == 0:
		return "an account of which the stream holds messages is not stored: `projector verify --account` says so, too, and " +
			"`projector refold --account` stores it"
	case v.Less || begins > 1:
		return "a stored account differs from a fold of its messages, of which the stream may have lost some: do not refold it. " +
			"`projector history --account` shows what the stream holds of it; restore the stream from a backup that holds the rest, " +
			"and what is stored is right"
	}
	return "a stored account differs from a fold of its messages: `projector verify --account` shows where, `projector refold --account` mends it"
}

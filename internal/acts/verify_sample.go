package acts

import (
	"context"
	"errors"
	"slices"

	"accountexport/events"
	"accountexport/internal/tracing"
	"accountexport/readmodel/admin"
)

// Sample verifies n accounts, drawn at random from the read model and from the stream
// in turn, and their tiers. Where the read model has no more than n, it verifies all.
func (v *Verifier) Sample(ctx context.Context, n int) (err error) {
	ctx, end := tracing.Phase(ctx, "verify sample")
	defer func() { end(err) }()
	total := 0
	enough := errors.New("enough")
	err = admin.EachAccount(ctx, v.Pool, func(events.UUID) error {
		if total++; total > n {
			return enough
		}
		return nil
	})
	if err == nil {
		return v.All(ctx)
	}
	if !errors.Is(err, enough) {
		return err
	}
	drawn := map[events.UUID]bool{}
	for tries := 0; len(drawn) < n && tries < 20*n; tries++ {
		id, found, err := v.draw(ctx, tries)
		if err != nil {
			return err
		}
		if found {
			drawn[id] = true
		}
	}
	ids := make([]events.UUID, 0, len(drawn))
	for id := range drawn {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	info, err := v.Stream.Info(ctx)
	if err != nil {
		return err
	}
	if info.Messages < uint64(len(ids))*messagesPerAccount {
		if err := v.verifyPass(ctx, ids, nil); err != nil {
			return err
		}
	} else {
		for _, id := range ids {
			out, err := v.VerifyTwice(ctx, id)
			if err == nil {
				err = v.report(out)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := v.verifyTiers(ctx, false); err != nil {
		return err
	}
	return v.checkCompared()
}

// draw draws an account at random: from the read model in even turns, from the stream
// in odd ones.
func (t Target) draw(ctx context.Context, turn int) (id events.UUID, found bool, err error) {
	if turn%2 == 0 {
		return admin.RandomAccount(ctx, t.Pool)
	}
	return t.Stream.RandomAccount(ctx)
}

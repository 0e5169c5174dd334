package acts

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

func (v *Verifier) initTiers() {
	if v.tierIDs == nil {
		v.tierIDs = map[string]bool{}
	}
}

// addTier adds the tier of an account to those that are verified.
func (v *Verifier) addTier(f *fold) error {
	tier, err := f.state.Tier()
	if err == nil && events.SoundTier(tier) {
		v.initTiers()
		v.tierIDs[tier] = true
	}
	return err
}

// verifyTiers verifies the tiers of the accounts that were verified, and with all set
// every tier of the read model.
func (v *Verifier) verifyTiers(ctx context.Context, all bool) error {
	v.initTiers()
	stored, h, err := admin.ReadTiers(ctx, v.Pool)
	if err != nil {
		return err
	}
	have := map[string]admin.Tier{}
	for _, t := range stored {
		if have[t.ID] = t; all {
			v.tierIDs[t.ID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.tierIDs)) {
		out, err := v.verifyTier(ctx, id, have[id], &h)
		if err == nil && !out.Same() { // an erasure, a refold or a commit may have come in between
			if stored, h, err = admin.ReadTiers(ctx, v.Pool); err == nil {
				i := slices.IndexFunc(stored, func(t admin.Tier) bool { return t.ID == id })
				now := admin.Tier{}
				if i >= 0 {
					now = stored[i]
				}
				out, err = v.verifyTier(ctx, id, now, &h)
			}
		}
		if err == nil && (out.Position > 0 || out.Folded > 0) {
			err = v.report(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) verifyTier(ctx context.Context, id string, stored admin.Tier, h *admin.StoredAccounts) (Verdict, error) {
	out := Verdict{Tier: id, Position: stored.Position, Differences: []string{}}
	var end uint64
	for _, position := range h.Checkpoints {
		end = max(end, position)
	}
	var r projections.TierRefold
	if end > 0 {
		if err := v.Stream.ReadTier(ctx, id, end, func(m projections.Message) error {
			if err := v.Limit.read(ctx, &m); err != nil || m.Position > h.CheckpointOf(&m) {
				return err
			}
			return r.Apply(m)
		}); err != nil {
			return out, err
		}
	}
	if r.Definition != nil {
		out.Folded = r.Definition.Position
	}
	out.Less = out.Folded < out.Position
	switch {
	case out.Position == 0 && out.Folded == 0: // the account names it, and nobody has defined it
	case out.Position == 0:
		out.Differences = append(out.Differences, fmt.Sprintf("lost: the stream defines it at %d, and nothing is stored", out.Folded))
	case out.Folded == 0:
		out.Differences = append(out.Differences, "stored, and the stream holds no definition of it")
	case out.Position != out.Folded:
		out.Differences = append(out.Differences, fmt.Sprintf("position: stored %d, folded %d", out.Position, out.Folded))
	case !bytes.Equal(stored.Body, r.Definition.Body):
		out.Differences = append(out.Differences, projections.CompareDocuments(stored.Body, r.Definition.Body)...)
	}
	return out, nil
}

package acts

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// VerifyTwice is [Verifier.Verify], and verifies again where that finds a difference:
// an erasure may have removed messages between its two reads.
func (v *Verifier) VerifyTwice(ctx context.Context, id events.UUID) (Verdict, error) {
	out, err := v.Verify(ctx, id)
	if err != nil || out.Same() {
		return out, err
	}
	return v.Verify(ctx, id)
}

// Verify compares one account, as it is stored now, with a fold of its messages up to
// the checkpoint of its partition.
func (v *Verifier) Verify(ctx context.Context, id events.UUID) (Verdict, error) {
	out := Verdict{Account: id.String(), Differences: []string{}}
	h, err := admin.ReadStored(ctx, v.Pool, []events.UUID{id})
	if err != nil {
		return out, err
	}
	stored, there := h.Accounts[id]
	if err := v.Limit.stored(ctx, stored.Bytes); err != nil {
		return out, err
	}
	f, err := v.foldAccount(ctx, id, &h, v.Limit)
	defer f.close()
	if err != nil {
		return out, err
	}
	if err := v.addTier(f); err != nil {
		return out, err
	}
	position := f.state.Position()
	erased := f.state.State(nil) == projections.Erased
	sum, err := f.sum()
	if err != nil {
		return out, err
	}
	out.Position, out.Folded = stored.Position, position
	out.Due = stored.Parked > 0 && stored.Minor < projections.VersionMinor
	if same(stored, there, sum, f.facts) {
		return out, v.recordMissingSums(ctx, map[events.UUID]admin.Sum{id: sum}, h)
	}
	out.Less = sum.Position < stored.Position || stored.Recorded.Messages > sum.Messages
	switch {
	case !there && sum.Messages == 0:
		return out, nil
	case !there:
		out.Differences = append(out.Differences, fmt.Sprintf("lost: the stream holds %d messages of it up to %d, and nothing is stored", f.messages, position))
	case sum.Messages == 0:
		out.Differences = append(out.Differences, "stored, and the stream holds no message of it")
	case stored.Erased != erased:
		out.Differences = append(out.Differences, fmt.Sprintf("state: stored %s, folded %s", erasedOrNot(stored.Erased), erasedOrNot(erased)))
		out.Less = out.Less || !erased
	default:
		out.Differences, err = v.explain(ctx, id, stored, sum, f.facts, &h)
	}
	return out, err
}

// same tells whether everything that is stored is what the fold has come to, and the
// row records the same sum, or none.
func same(stored admin.StoredAccount, there bool, sum admin.Sum, facts admin.Facts) bool {
	return there && stored.Position == sum.Position && stored.Digest == sum.Digest &&
		(stored.Recorded.Messages == 0 || stored.Recorded == sum) && (stored.Erased || stored.Facts == facts)
}

// recordMissingSums completes rows that are right and do not record a sum, since an
// older program wrote them.
func (v *Verifier) recordMissingSums(ctx context.Context, right map[events.UUID]admin.Sum, h admin.StoredAccounts) error {
	unrecorded := map[events.UUID]admin.Sum{}
	for id, sum := range right {
		if h.Accounts[id].Recorded.Messages == 0 {
			unrecorded[id] = sum
		}
	}
	if len(unrecorded) == 0 {
		return nil
	}
	return v.recordSums(ctx, unrecorded)
}

// recordSums writes only where [Target.Check] does not refuse the stream, which is
// checked after the stream was read.
func (v *Verifier) recordSums(ctx context.Context, unrecorded map[events.UUID]admin.Sum) error {
	if v.WriteNothing {
		return nil
	}
	err := v.Check(ctx)
	if IsRefusal(err) {
		return nil
	}
	if err == nil {
		_, err = admin.RecordSums(ctx, v.Pool, unrecorded)
	}
	return err
}

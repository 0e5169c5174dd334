package acts

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// One pass over the stream passes many messages in the time that finding one
// account's own takes (measured: 700 thousand a second, and 10 ms an account).
const messagesAnAccount = 5000

// What is held for one pass, at most.
const (
	passBytes    = 16 << 20 // of what is stored of its accounts
	passAccounts = 20_000
	heldAtOnce   = 500 // accounts in one snapshot
)

func compareIDs(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) }

// taken is an account that is folded in a pass.
type taken struct {
	stored admin.StoredAccount
	held   *admin.StoredAccounts
	fold   *fold
}

// pass verifies accounts in one pass over the stream; with a range, also those
// that only the stream knows. What is found to differ is judged again by
// itself, and that is told.
func (v *Verifier) pass(ctx context.Context, ids []events.UUID, within *idRange) error {
	accounts := make(map[events.UUID]*taken, len(ids))
	var base admin.StoredAccounts
	for some := range slices.Chunk(ids, heldAtOnce) {
		h, err := admin.ReadStored(ctx, v.Pool, some)
		if err != nil {
			return err
		}
		for _, id := range some {
			accounts[id] = &taken{h.Accounts[id], &h, newFold(id)}
		}
		base = h
	}
	if len(ids) == 0 {
		h, err := admin.ReadStored(ctx, v.Pool, nil)
		if err != nil {
			return err
		}
		base = h
	}
	v.names()
	rowless := map[events.UUID]bool{}
	read := 0
	err := v.Stream.ReadAll(ctx, func(m projections.Message) error {
		if read++; read%progressEvery == 0 {
			v.reportProgress()
		}
		to := events.ParseSubject(m.Subject)
		if to.Kind != events.SubjectAccount {
			if to.Kind == events.SubjectTier && within != nil && m.Position <= base.CheckpointOf(&m) {
				v.named[to.Tier] = true
			}
			return nil
		}
		a := accounts[to.Account]
		switch {
		case a != nil && m.Position <= a.held.CheckpointOf(&m):
			return a.fold.apply(m)
		case a == nil && within != nil && within.has(to.Account) && m.Position <= base.CheckpointOf(&m):
			rowless[to.Account] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fold the stream: %w", err)
	}
	return v.judgeAll(ctx, ids, accounts, rowless)
}

func (v *Verifier) judgeAll(ctx context.Context, ids []events.UUID, accounts map[events.UUID]*taken, rowless map[events.UUID]bool) error {
	ids = slices.Clone(ids)
	for id := range rowless {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	for some := range slices.Chunk(ids, heldAtOnce) {
		silent := map[events.UUID]admin.Sum{}
		for _, id := range some {
			out, sum, err := v.judgeTaken(ctx, id, accounts[id])
			if rowless[id] && !out.Same() {
				if v.lost == nil {
					v.lost = map[events.UUID]bool{}
				}
				v.lost[id] = true
			}
			if err == nil {
				err = v.tell(out)
			}
			if err != nil {
				return err
			}
			if a := accounts[id]; a != nil && out.Same() && sum.Messages > 0 && a.stored.Recorded.Messages == 0 {
				silent[id] = sum
			}
			delete(accounts, id) // its fold is no longer needed
		}
		if len(silent) > 0 {
			if err := v.noteSums(ctx, silent); err != nil {
				return err
			}
		}
	}
	return nil
}

// judgeTaken judges an account by the pass, and by itself where that finds a
// difference, or has not seen it.
func (v *Verifier) judgeTaken(ctx context.Context, id events.UUID, a *taken) (Verdict, admin.Sum, error) {
	if a != nil {
		defer a.fold.close()
		if err := v.name(a.fold); err != nil {
			return Verdict{}, admin.Sum{}, err
		}
		sum, err := a.fold.sum()
		if err != nil {
			return Verdict{}, sum, err
		}
		if same(a.stored, true, sum, a.fold.facts) {
			return Verdict{Account: id.String(), Position: sum.Position, Folded: sum.Position, Differences: []string{}}, sum, nil
		}
	}
	out, err := v.VerifyTwice(ctx, id)
	return out, admin.Sum{}, err
}

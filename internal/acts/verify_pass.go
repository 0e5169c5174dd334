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

// One pass reads so many messages in the time that it takes to find the messages of one
// account: a pass reads some 700 thousand a second, measured, and an account takes some
// 1.5 ms with what is stored of it, by estimate.
const messagesPerAccount = 1000

// Limits of one pass.
const (
	passBytes    = 16 << 20 // of what is stored of its accounts
	passAccounts = 20_000
	snapshotSize = 500 // accounts read in one snapshot
)

func compareIDs(a, b events.UUID) int { return bytes.Compare(a[:], b[:]) }

// scannedAccount is an account that is folded in a pass.
type scannedAccount struct {
	stored   admin.StoredAccount
	snapshot *admin.StoredAccounts
	fold     *fold
}

// verifyPass verifies accounts in one pass over the stream, and with a range also the
// accounts that only the stream knows. An account that differs is verified again by
// itself, and that verdict counts.
func (v *Verifier) verifyPass(ctx context.Context, ids []events.UUID, within *idRange) error {
	accounts := make(map[events.UUID]*scannedAccount, len(ids))
	var base admin.StoredAccounts
	for page := range slices.Chunk(ids, snapshotSize) {
		h, err := admin.ReadStored(ctx, v.Pool, page)
		if err != nil {
			return err
		}
		for _, id := range page {
			accounts[id] = &scannedAccount{h.Accounts[id], &h, newFold(id)}
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
	v.initTiers()
	withoutRow := map[events.UUID]bool{}
	read := 0
	err := v.Stream.ReadAll(ctx, func(m projections.Message) error {
		if read++; read%progressEvery == 0 {
			v.reportProgress()
		}
		to := events.ParseSubject(m.Subject)
		if to.Kind != events.SubjectAccount {
			if to.Kind == events.SubjectTier && within != nil && m.Position <= base.CheckpointOf(&m) {
				v.tierIDs[to.Tier] = true
			}
			return nil
		}
		a := accounts[to.Account]
		switch {
		case a != nil && m.Position <= a.snapshot.CheckpointOf(&m):
			return a.fold.apply(m)
		case a == nil && within != nil && within.has(to.Account) && m.Position <= base.CheckpointOf(&m):
			withoutRow[to.Account] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fold the stream: %w", err)
	}
	return v.judgeAll(ctx, ids, accounts, withoutRow)
}

func (v *Verifier) judgeAll(ctx context.Context, ids []events.UUID, accounts map[events.UUID]*scannedAccount, withoutRow map[events.UUID]bool) error {
	ids = slices.Clone(ids)
	for id := range withoutRow {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	for page := range slices.Chunk(ids, snapshotSize) {
		unrecorded := map[events.UUID]admin.Sum{}
		for _, id := range page {
			out, sum, err := v.judge(ctx, id, accounts[id])
			if withoutRow[id] && !out.Same() {
				if v.missingRows == nil {
					v.missingRows = map[events.UUID]bool{}
				}
				v.missingRows[id] = true
			}
			if err == nil {
				err = v.report(out)
			}
			if err != nil {
				return err
			}
			if a := accounts[id]; a != nil && out.Same() && sum.Messages > 0 && a.stored.Recorded.Messages == 0 {
				unrecorded[id] = sum
			}
			delete(accounts, id) // frees its fold
		}
		if len(unrecorded) > 0 {
			if err := v.recordSums(ctx, unrecorded); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge compares an account with its fold in the pass. Where there is none, or it
// differs, the account is verified by itself.
func (v *Verifier) judge(ctx context.Context, id events.UUID, a *scannedAccount) (Verdict, admin.Sum, error) {
	if a != nil {
		defer a.fold.close()
		if err := v.addTier(a.fold); err != nil {
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

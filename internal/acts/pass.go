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

// All verifies every account that the read model or the stream knows, every
// tier, and that nothing lies beside a row that is not there. It goes through
// both in ranges of account ids, each with one pass over the stream.
func (v *Verifier) All(ctx context.Context) error {
	from, first := events.UUID{}, true
	var ids []events.UUID
	size := 0
	reach := func(last *events.UUID) error {
		err := v.pass(ctx, ids, &idRange{from, first, last})
		if last != nil {
			from, first = *last, false
		}
		ids, size = nil, 0
		return err
	}
	var some []events.UUID
	weigh := func() error {
		h, err := admin.ReadStored(ctx, v.Pool, some)
		if err != nil {
			return err
		}
		for _, id := range some {
			ids = append(ids, id)
			if size += h.Accounts[id].Bytes; size >= passBytes || len(ids) >= passAccounts {
				last := id
				if err := reach(&last); err != nil {
					return err
				}
			}
		}
		some = some[:0]
		return nil
	}
	err := admin.EachAccount(ctx, v.Pool, func(id events.UUID) error {
		if some = append(some, id); len(some) < heldAtOnce {
			return nil
		}
		return weigh()
	})
	if err == nil {
		err = weigh()
	}
	if err == nil {
		err = reach(nil)
	}
	if err == nil {
		err = v.orphans(ctx)
	}
	if err == nil && v.Unattributed {
		err = v.verifyUnattributed(ctx)
	}
	if err == nil {
		err = v.tiers(ctx, true)
	}
	if err != nil {
		return err
	}
	return v.looked()
}

// idRange is the accounts after one, with it where that is the first, up to and
// including another, or all that follow.
type idRange struct {
	from  events.UUID
	with  bool
	until *events.UUID
}

func (r *idRange) has(id events.UUID) bool {
	c := compareIDs(id, r.from)
	return (c > 0 || c == 0 && r.with) && (r.until == nil || compareIDs(id, *r.until) <= 0)
}

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
	err := v.Stream.ReadAll(ctx, func(m projections.Message) error {
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

// orphansNamed is how many are named.
const orphansNamed = 1000

// orphans tells what is stored beside rows that neither are there nor were. What
// is written while it looks has its row by the second look.
func (v *Verifier) orphans(ctx context.Context) error {
	found, err := admin.Orphans(ctx, v.Pool, orphansNamed)
	if err != nil || len(found) == 0 {
		return err
	}
	again, err := admin.Orphans(ctx, v.Pool, orphansNamed)
	if err != nil {
		return err
	}
	tables := map[events.UUID][]string{}
	for _, o := range again {
		if slices.Contains(found, o) && !v.lost[o.Account] {
			tables[o.Account] = append(tables[o.Account], o.Table)
		}
	}
	for id, in := range tables {
		out := Verdict{Account: id.String(), Differences: []string{fmt.Sprintf("too much: without a row, it has some in %v", in)}}
		if err := v.tell(out); err != nil {
			return err
		}
	}
	return nil
}

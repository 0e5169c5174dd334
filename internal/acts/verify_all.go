package acts

import (
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// All verifies every account that the read model or the stream knows, every
// tier, and that nothing lies beside a row that is not there. It goes through
// both in ranges of account ids, each with one pass over the stream.
func (v *Verifier) All(ctx context.Context) error {
	if err := v.beginProgress(ctx); err != nil {
		return err
	}
	defer v.endProgress()
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

package acts

import (
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/internal/tracing"
	"accountexport/readmodel/admin"
)

// All verifies every account that the read model or the stream knows, every tier, and
// that no table holds rows of an account without a row of its own. It goes through both
// in ranges of account ids, with one pass over the stream for each range.
func (v *Verifier) All(ctx context.Context) (err error) {
	ctx, end := tracing.Phase(ctx, "verify all")
	defer func() { end(err) }()
	if err := v.beginProgress(ctx); err != nil {
		return err
	}
	defer v.endProgress()
	// ids are the accounts of the range that is being filled, in order; size is what is
	// stored of them, in bytes.
	from, first := events.UUID{}, true
	var ids []events.UUID
	size := 0
	verifyRange := func(until *events.UUID) error {
		err := v.verifyPass(ctx, ids, &idRange{from, first, until})
		if until != nil {
			from, first = *until, false
		}
		ids, size = nil, 0
		return err
	}
	// page are accounts of which it is not known yet how much is stored of them.
	var page []events.UUID
	addPage := func() error {
		h, err := admin.ReadStored(ctx, v.Pool, page)
		if err != nil {
			return err
		}
		for _, id := range page {
			ids = append(ids, id)
			if size += h.Accounts[id].Bytes; size >= passBytes || len(ids) >= passAccounts {
				until := id
				if err := verifyRange(&until); err != nil {
					return err
				}
			}
		}
		page = page[:0]
		return nil
	}
	err = admin.EachAccount(ctx, v.Pool, func(id events.UUID) error {
		if page = append(page, id); len(page) < snapshotSize {
			return nil
		}
		return addPage()
	})
	if err != nil {
		return err
	}
	if err := addPage(); err != nil {
		return err
	}
	if err := verifyRange(nil); err != nil {
		return err
	}
	if err := v.verifyOrphans(ctx); err != nil {
		return err
	}
	if v.Unattributed {
		if err := v.verifyUnattributed(ctx); err != nil {
			return err
		}
	}
	if err := v.verifyTiers(ctx, true); err != nil {
		return err
	}
	return v.checkCompared()
}

// idRange is a range of account ids: after from, or from it on where inclusive is set,
// and up to and including until, or to the end where that is nil.
type idRange struct {
	from      events.UUID
	inclusive bool
	until     *events.UUID
}

func (r *idRange) has(id events.UUID) bool {
	c := compareIDs(id, r.from)
	return (c > 0 || c == 0 && r.inclusive) && (r.until == nil || compareIDs(id, *r.until) <= 0)
}

// maxOrphans is how many orphans are reported.
const maxOrphans = 1000

// verifyOrphans reports rows of accounts that have no row of their own and had none. It
// looks twice: a row that was written after the first look is there in the second.
func (v *Verifier) verifyOrphans(ctx context.Context) error {
	first, err := admin.Orphans(ctx, v.Pool, maxOrphans)
	if err != nil || len(first) == 0 {
		return err
	}
	second, err := admin.Orphans(ctx, v.Pool, maxOrphans)
	if err != nil {
		return err
	}
	tables := map[events.UUID][]string{}
	for _, o := range second {
		if slices.Contains(first, o) && !v.missingRows[o.Account] {
			tables[o.Account] = append(tables[o.Account], o.Table)
		}
	}
	for id, in := range tables {
		out := Verdict{Account: id.String(), Differences: []string{fmt.Sprintf("too much: without a row, it has some in %v", in)}}
		if err := v.report(out); err != nil {
			return err
		}
	}
	return nil
}

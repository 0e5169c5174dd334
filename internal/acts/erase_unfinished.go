package acts

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// PendingErasures lists the erasures on the ledger that are not complete: those
// whose event the stream lacks; those of which the stream holds messages from before
// the event although a receipt says that they were removed, or their removal was begun;
// and those that are pending in this database. It reads the stream once.
func (t Target) PendingErasures(ctx context.Context) (unfinished []admin.Erasure, err error) {
	ledger, err := readLedger(ctx, t.Pool)
	if err != nil || len(ledger) == 0 {
		return nil, err
	}
	redo, begun := map[events.UUID]bool{}, map[events.UUID]bool{}
	all, err := admin.PendingErasures(ctx, t.Pool, false)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		e, there := ledger[o.Account]
		switch {
		case !there: // removed from the ledger meanwhile, or not published yet
		case !o.Redo: // it was cut off, or is complete here while copies keep their messages, or is under way
			begun[o.Account] = o.Done || time.Since(o.Began) > erasureTimeout
		case len(o.Emails) > 0: // its replay was begun
			unfinished = append(unfinished, e)
			delete(ledger, o.Account)
		default:
			redo[o.Account] = true
		}
	}
	erased, leftovers := map[events.UUID]bool{}, map[events.UUID]bool{}
	later := map[uint64]events.UUID{} // messages after the event, which an erasure may have removed once
	err = t.Stream.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if to.Kind == events.SubjectUnsound {
			forEachID(func(id events.UUID) { leftovers[id] = leftovers[id] || redo[id] }, []byte(m.Subject), m.Data)
			return nil
		}
		e, ok := ledger[to.Account]
		if !ok || to.Kind != events.SubjectAccount {
			return nil
		}
		if _, erases := stream.ErasureTime(m, to.Account); erases && !erased[to.Account] {
			erased[to.Account] = true
		} else if redo[to.Account] || (e.Receipt != "" || begun[to.Account]) && !erased[to.Account] {
			leftovers[to.Account] = true
		} else if e.Receipt != "" && len(later) < maxLater {
			later[m.Position] = to.Account
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.removedBefore(ctx, later, leftovers); err != nil {
		return nil, err
	}
	var settled []events.UUID
	for account, e := range ledger {
		switch {
		case !erased[account] || leftovers[account]:
			unfinished = append(unfinished, e)
		case redo[account]:
			settled = append(settled, account)
		}
	}
	traced, err := admin.AccountsWithTraces(ctx, t.Pool, settled)
	if err != nil {
		return nil, err
	}
	for _, account := range settled {
		if traced[account] {
			unfinished = append(unfinished, ledger[account])
		} else if err := admin.CompleteErasure(ctx, t.Pool, account, ""); err != nil { // nothing of it is left
			return nil, err
		}
	}
	slices.SortFunc(unfinished, func(a, b admin.Erasure) int { return strings.Compare(a.Account.String(), b.Account.String()) })
	return unfinished, nil
}

const (
	erasureTimeout = time.Minute // an erasure takes less time; one that is older was cut off
	maxLater       = 100_000
)

// removedBefore adds the accounts of which the stream holds a message at a position
// where an erasure removed one: the stream was restored from an older backup.
func (t Target) removedBefore(ctx context.Context, later map[uint64]events.UUID, leftovers map[events.UUID]bool) error {
	if len(later) == 0 {
		return nil
	}
	info, err := t.Stream.Info(ctx)
	if err != nil {
		return err
	}
	candidates := engine.RangesOf(slices.Collect(maps.Keys(later))...)
	kept, err := admin.WithoutRemovals(ctx, t.Pool, info, candidates)
	if err != nil {
		return err
	}
	for _, x := range candidates.Without(kept) {
		for position := x.First; position <= x.Last; position++ {
			leftovers[later[position]] = true
		}
	}
	return nil
}

func readLedger(ctx context.Context, pool *pgxpool.Pool) (map[events.UUID]admin.Erasure, error) {
	ledger := map[events.UUID]admin.Erasure{}
	var after *events.UUID
	for {
		page, err := admin.Erasures(ctx, pool, after, 1000)
		if err != nil || len(page) == 0 {
			return ledger, err
		}
		for _, e := range page {
			ledger[e.Account] = e
		}
		after = &page[len(page)-1].Account
	}
}

var anyID = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// forEachID calls do with every account id in the parts.
func forEachID(do func(events.UUID), parts ...[]byte) {
	for _, p := range parts {
		for _, text := range anyID.FindAll(p, -1) {
			if id, err := events.ParseUUID(strings.ToLower(string(text))); err == nil {
				do(id)
			}
		}
	}
}

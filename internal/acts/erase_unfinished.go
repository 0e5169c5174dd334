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

// UnfinishedErasures lists those erasures on the ledger of which the stream lacks the
// event; of which it holds messages from before the event that a receipt says
// were removed, or that somebody has begun to remove; and those that are owed
// here, and not done. It reads the stream once.
func (t Target) UnfinishedErasures(ctx context.Context) (those []admin.Erasure, err error) {
	ledger, err := wholeLedger(ctx, t.Pool)
	if err != nil || len(ledger) == 0 {
		return nil, err
	}
	owed, begun := map[events.UUID]bool{}, map[events.UUID]bool{}
	all, err := admin.PendingErasures(ctx, t.Pool, false)
	if err != nil {
		return nil, err
	}
	for _, o := range all {
		e, there := ledger[o.Account]
		switch {
		case !there: // taken off meanwhile, or not yet published
		case !o.Redo: // cut off, or done here while copies keep theirs; or somebody is at it
			begun[o.Account] = o.Done || time.Since(o.Began) > atIt
		case len(o.Emails) > 0: // somebody had begun
			those = append(those, e)
			delete(ledger, o.Account)
		default:
			owed[o.Account] = true
		}
	}
	erased, others := map[events.UUID]bool{}, map[events.UUID]bool{}
	later := map[uint64]events.UUID{} // messages after the event, which may have been removed once
	err = t.Stream.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if to.Kind == events.SubjectUnsound {
			eachID(func(id events.UUID) { others[id] = others[id] || owed[id] }, []byte(m.Subject), m.Data)
			return nil
		}
		e, ok := ledger[to.Account]
		if !ok || to.Kind != events.SubjectAccount {
			return nil
		}
		if _, erases := stream.ErasureTime(m, to.Account); erases && !erased[to.Account] {
			erased[to.Account] = true
		} else if owed[to.Account] || (e.Receipt != "" || begun[to.Account]) && !erased[to.Account] {
			others[to.Account] = true
		} else if e.Receipt != "" && len(later) < laterMost {
			later[m.Position] = to.Account
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := t.removedBefore(ctx, later, others); err != nil {
		return nil, err
	}
	var settled []events.UUID
	for account, e := range ledger {
		switch {
		case !erased[account] || others[account]:
			those = append(those, e)
		case owed[account]:
			settled = append(settled, account)
		}
	}
	traced, err := admin.AccountsWithTraces(ctx, t.Pool, settled)
	if err != nil {
		return nil, err
	}
	for _, account := range settled {
		if traced[account] {
			those = append(those, ledger[account])
		} else if err := admin.CompleteErasure(ctx, t.Pool, account, ""); err != nil { // there is nothing of it
			return nil, err
		}
	}
	slices.SortFunc(those, func(a, b admin.Erasure) int { return strings.Compare(a.Account.String(), b.Account.String()) })
	return those, nil
}

const (
	atIt      = time.Minute // an erasure takes no longer, and is not taken for cut off
	laterMost = 100_000
)

// removedBefore notes the accounts of which the stream holds a message at a position
// that an erasure of them removed: it was restored from before that.
func (t Target) removedBefore(ctx context.Context, later map[uint64]events.UUID, others map[events.UUID]bool) error {
	if len(later) == 0 {
		return nil
	}
	info, err := t.Stream.Info(ctx)
	if err != nil {
		return err
	}
	those := engine.RangesOf(slices.Collect(maps.Keys(later))...)
	kept, err := admin.WithoutRemovals(ctx, t.Pool, info, those)
	if err != nil {
		return err
	}
	for _, x := range those.Without(kept) {
		for position := x.First; position <= x.Last; position++ {
			others[later[position]] = true
		}
	}
	return nil
}

func wholeLedger(ctx context.Context, pool *pgxpool.Pool) (map[events.UUID]admin.Erasure, error) {
	ledger := map[events.UUID]admin.Erasure{}
	var after *events.UUID
	for {
		some, err := admin.Erasures(ctx, pool, after, 1000)
		if err != nil || len(some) == 0 {
			return ledger, err
		}
		for _, e := range some {
			ledger[e.Account] = e
		}
		after = &some[len(some)-1].Account
	}
}

var anyID = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// eachID calls do with every account id in a text.
func eachID(do func(events.UUID), parts ...[]byte) {
	for _, p := range parts {
		for _, text := range anyID.FindAll(p, -1) {
			if id, err := events.ParseUUID(strings.ToLower(string(text))); err == nil {
				do(id)
			}
		}
	}
}

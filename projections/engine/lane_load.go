package engine

import (
	"context"
	"fmt"

	"accountexport/events"
	"accountexport/projections"
)

// load brings the states that the messages need into memory: first the accounts
// that are not cached, then the pages and patches that the messages refer to and
// that are not part of a row. It returns about how many bytes that was.
func (l *lane) load(ctx context.Context, decoded []projections.Decoded) (bytes int, err error) {
	var missing []events.UUID
	seen := map[events.UUID]bool{}
	for i := range decoded {
		to := &decoded[i].To
		if to.Kind != events.SubjectAccount || seen[to.Account] {
			continue
		}
		seen[to.Account] = true
		if l.cache.get(to.Account) == nil {
			missing = append(missing, to.Account)
		}
	}
	if len(missing) > 0 {
		rows, err := l.store.Load(ctx, l.generation, missing)
		if err != nil {
			return 0, fmt.Errorf("load %d accounts: %w", len(missing), err)
		}
		for i := range rows {
			bytes += l.cache.add(projections.LoadAccount(&rows[i])).size
		}
		for _, id := range missing {
			if l.cache.get(id) == nil {
				l.cache.add(projections.NewAccount(id))
			}
		}
	}
	var partial []*projections.Decoded
	for i := range decoded {
		d := &decoded[i]
		if d.To.Kind == events.SubjectAccount && !l.cache.byID[d.To.Account].Whole() {
			partial = append(partial, d)
		}
	}
	if len(partial) == 0 {
		return bytes, nil
	}
	_, more, err := l.lookup(ctx, partial)
	return bytes + more, err
}

// lookup asks the store for what the messages need. needed reports whether they
// needed anything, and bytes about how much the answers hold.
func (l *lane) lookup(ctx context.Context, messages []*projections.Decoded) (needed bool, bytes int, err error) {
	var lookups []projections.Lookup
	seen := map[projections.Lookup]bool{}
	for _, d := range messages {
		more, err := l.cache.byID[d.To.Account].Lookups(d)
		if err != nil {
			return false, 0, err
		}
		for _, n := range more {
			if !seen[n] {
				seen[n] = true
				lookups = append(lookups, n)
			}
		}
	}
	if len(lookups) == 0 {
		return false, 0, nil
	}
	results, err := l.store.Lookup(ctx, l.generation, lookups)
	if err != nil {
		return true, 0, fmt.Errorf("look up %d items: %w", len(lookups), err)
	}
	for i := range results {
		if err := l.cache.byID[results[i].Account].Hydrate(&results[i]); err != nil {
			return true, 0, err
		}
		bytes += lookupResultBytes + len(results[i].Body)
	}
	l.cur.bytes += 2 * bytes // as read, and as it will be written
	return true, bytes, nil
}

// lookupResultBytes is about what a result without a body takes in memory.
const lookupResultBytes = 256

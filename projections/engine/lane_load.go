package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
)

// load brings the states that the messages need into memory: first the accounts
// that are not cached, then the pages and patches that the messages refer to and
// that are not part of a row. It returns about how many bytes that was.
func (l *lane) load(ctx context.Context, decoded []projections.Decoded) (size int, err error) {
	entries := l.group.entries[:0]
	var missing []events.UUID
	for i := range decoded {
		var e *cacheEntry
		if to := &decoded[i].To; to.Kind == events.SubjectAccount {
			if e = l.cache.get(to.Account); e == nil {
				missing = append(missing, to.Account)
			}
		}
		entries = append(entries, e)
	}
	l.group.entries = entries
	if len(missing) > 0 {
		more, err := l.loadRows(ctx, missing)
		if err != nil {
			return 0, err
		}
		size += more
		for i := range decoded {
			if to := &decoded[i].To; entries[i] == nil && to.Kind == events.SubjectAccount {
				entries[i] = l.cache.byID[to.Account]
			}
		}
	}
	var partial []*projections.Decoded
	for i, e := range entries {
		if e != nil && !e.Whole() {
			partial = append(partial, &decoded[i])
		}
	}
	if len(partial) == 0 {
		return size, nil
	}
	_, more, err := l.lookup(ctx, partial)
	return size + more, err
}

// loadRows brings accounts into the cache, some of which may be named twice. What the
// store has no row of is an account without messages.
func (l *lane) loadRows(ctx context.Context, missing []events.UUID) (size int, err error) {
	slices.SortFunc(missing, func(x, y events.UUID) int { return bytes.Compare(x[:], y[:]) })
	missing = slices.Compact(missing)
	rows, err := l.store.Load(ctx, l.generation, missing)
	if err != nil {
		return 0, fmt.Errorf("load %d accounts: %w", len(missing), err)
	}
	for i := range rows {
		size += l.cache.add(projections.LoadAccount(&rows[i])).size
	}
	for _, id := range missing {
		if l.cache.byID[id] == nil {
			l.cache.add(projections.NewAccount(id))
		}
	}
	return size, nil
}

// lookup asks the store for what the messages need. needed reports whether they
// needed anything, and bytes about how much the answers hold.
func (l *lane) lookup(ctx context.Context, messages []*projections.Decoded) (needed bool, size int, err error) {
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
		size += lookupResultBytes + len(results[i].Body)
	}
	l.cur.bytes += 2 * size // as read, and as it will be written
	return true, size, nil
}

// lookupResultBytes is about what a result without a body takes in memory.
const lookupResultBytes = 256

package export

import (
	"maps"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/readmodel"
)

// Believe has x take a generation for the live one, as a replica does that has
// read nothing since it was live.
func Believe(x *Reader, g readmodel.Generation) { x.live.Store(newQueries(g)) }

// Spooled is how many spools there are, how many readers they have, and how much room
// they hold.
func Spooled(x *Reader) (spools, readers int, held Limits) {
	for _, s := range []*spoolCache{x.medium, x.large} {
		s.mu.Lock()
		for _, p := range s.spools {
			spools, readers = spools+1, readers+p.readers
		}
		s.mu.Unlock()
		s.budget.mu.Lock()
		held.Memory += s.budget.total.memory - s.budget.freeMemory
		held.Files += s.budget.total.files - s.budget.freeFiles
		s.budget.mu.Unlock()
	}
	return spools, readers, held
}

// Statement is SQL that reads, with arguments that it may be executed with.
type Statement struct{ SQL, Args string }

// Statements are the statements that read documents, by their names. Those of snapshots
// are left out, which switch compiling off.
func Statements(generation int64) map[string]Statement {
	q := newQueries(readmodel.Generation{Number: generation})
	const one = ` ('3c90c3cc-0d44-4b50-8888-8dd25736052a', 1)`
	return map[string]Statement{"meta": {q.meta, one}, "small": {q.flat, one}, "whole": {q.whole, one},
		"flat":       {q.flatMany, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1)`},
		"short":      {q.short, one},
		"paged":      {q.paged, one},
		"paged_many": {q.pagedMany, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1, ARRAY[true], ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid])`},
		"many":       {q.wholeMany, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1, ARRAY[500000])`}}
}

// Waiting is how many reads wait for room.
func Waiting(x *Reader) (n int) {
	for _, s := range []*spoolCache{x.medium, x.large} {
		s.budget.mu.Lock()
		for _, queue := range s.budget.waiting {
			n += len(queue)
		}
		s.budget.mu.Unlock()
	}
	return n
}

// SetReconnectWindow sets how long reads whose connection was lost are tried again.
func SetReconnectWindow(x *Reader, d time.Duration) { x.reconnectWindow = d }

// Reverse has the statements that give the rows of accounts before their pages give the
// pages first.
func Reverse(x *Reader) {
	live := x.live.Load()
	q := newQueries(readmodel.Generation{Number: live.generation, Major: live.major, Incarnation: live.history})
	for _, sql := range []*string{&q.paged, &q.pagedMany} {
		rows, pages, _ := strings.Cut(*sql, "UNION ALL")
		*sql = strings.TrimSpace(pages) + " UNION ALL " + strings.TrimSpace(rows)
	}
	x.live.Store(q)
}

// Wholes is what is counted for each account of the room for large documents.
func Wholes(x *Reader) map[events.UUID]int64 {
	x.large.budget.mu.Lock()
	defer x.large.budget.mu.Unlock()
	return maps.Clone(x.large.budget.wholes)
}

package export

import (
	"maps"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/readmodel"
)

// Believe has x take a generation for the live one, as a replica does that has
// read nothing since it was.
func Believe(x *Exports, g readmodel.Generation) { x.live.Store(newQueries(g)) }

// Spooled is how many documents are being sent from spools, how many read them,
// and what is held for them.
func Spooled(x *Exports) (spools, readers int, held Limits) {
	for _, s := range []*spoolsOf{x.near, x.far} {
		s.mu.Lock()
		for _, p := range s.all {
			spools, readers = spools+1, readers+p.readers
		}
		s.mu.Unlock()
		s.room.mu.Lock()
		held.Memory += s.room.all.memory - s.room.memory
		held.Files += s.room.all.files - s.room.files
		s.room.mu.Unlock()
	}
	return spools, readers, held
}

type spoolsOf = spools

// Statement is one that reads, with what it may be called with.
type Statement struct{ SQL, Args string }

// Statements are those that read documents, each by its name, but those of a
// transaction that compiles nothing.
func Statements(generation int64) map[string]Statement {
	q := newQueries(readmodel.Generation{Number: generation})
	const one = ` ('3c90c3cc-0d44-4b50-8888-8dd25736052a', 1)`
	return map[string]Statement{"meta": {q.meta, one}, "small": {q.small, one}, "whole": {q.whole, one},
		"flat":       {q.flat, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1)`},
		"short":      {q.short, one},
		"paged":      {q.paged, one},
		"paged_many": {q.pagedMany, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1, ARRAY[true], ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid])`},
		"many":       {q.many, ` (ARRAY['3c90c3cc-0d44-4b50-8888-8dd25736052a'::uuid], 1, ARRAY[500000])`}}
}

// Waiting is how many reads wait for room.
func Waiting(x *Exports) (n int) {
	for _, s := range []*spools{x.near, x.far} {
		s.room.mu.Lock()
		for _, queue := range s.room.waiting {
			n += len(queue)
		}
		s.room.mu.Unlock()
	}
	return n
}

// SetComeBack sets how long reads whose connection was lost are tried again.
func SetComeBack(x *Exports, d time.Duration) { x.comeBack = d }

// Reverse has the statements that give rows of accounts and then pages give them
// the other way round.
func Reverse(x *Exports) {
	live := x.live.Load()
	q := newQueries(readmodel.Generation{Number: live.generation, Major: live.major, History: live.history})
	for _, sql := range []*string{&q.paged, &q.pagedMany} {
		rows, pages, _ := strings.Cut(*sql, "UNION ALL")
		*sql = strings.TrimSpace(pages) + " UNION ALL " + strings.TrimSpace(rows)
	}
	x.live.Store(q)
}

// Wholes is what accounts count as having of the room for large documents.
func Wholes(x *Exports) map[events.UUID]int64 {
	x.far.room.mu.Lock()
	defer x.far.room.mu.Unlock()
	return maps.Clone(x.far.room.wholes)
}

package enginetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

func testContents(t *testing.T, m ReadModel) {
	w := newWriter(t, m.Join(t))
	for n := range 4 {
		w.mustCommit(w.fold(story(n)...))
		w.checkContents()
	}
	if pages := len(w.tables.Pages); pages < 20 {
		t.Fatalf("the story has %d pages, too few to try them", pages)
	}
}

// sameBytes compares JSON as a whole, which is faster than by the byte. A store need
// not tell an empty section from none.
var sameBytes = cmp.Comparer(bytes.Equal)

// checkContents compares every row, page and patch with the tables.
func (w *writer) checkContents() {
	w.t.Helper()
	never := events.UUID{0: 0xff}
	ids := append(slices.Collect(maps.Keys(w.tables.Rows)), never)
	rows, err := w.store.Load(w.t.Context(), w.own.Generation, ids)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[events.UUID]projections.AccountRow{}
	for _, r := range rows {
		if _, twice := got[r.ID]; twice {
			w.t.Errorf("account %s is loaded twice", r.ID)
		}
		got[r.ID] = r
	}
	if diff := cmp.Diff(w.tables.Rows, got, sameBytes); diff != "" {
		w.t.Errorf("rows (-want +got):\n%.3000s", diff)
	}
	lookups := w.lookups(never)
	want := map[projections.Lookup]projections.LookupResult{}
	for _, l := range lookups {
		want[l] = w.tables.Lookup(l)
	}
	if diff := cmp.Diff(want, w.lookup(lookups), sameBytes); diff != "" {
		w.t.Errorf("lookups (-want +got):\n%.3000s", diff)
	}
}

// lookup asks the store, and checks that each lookup has one result.
func (w *writer) lookup(lookups []projections.Lookup) map[projections.Lookup]projections.LookupResult {
	w.t.Helper()
	results, err := w.store.Lookup(w.t.Context(), w.own.Generation, lookups)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[projections.Lookup]projections.LookupResult{}
	for _, r := range results {
		got[r.Lookup] = r
	}
	if len(results) != len(lookups) || len(got) != len(lookups) {
		w.t.Errorf("%d results, of %d lookups, for %d lookups", len(results), len(got), len(lookups))
	}
	return got
}

// lookups are all that the tables can answer, and some that find nothing.
func (w *writer) lookups(never events.UUID) []projections.Lookup {
	ask := map[projections.Lookup]bool{}
	for k := range w.tables.Items {
		ask[projections.Lookup{Account: k.Account, Section: k.Section, Key: k.Key}] = true
	}
	for k := range w.tables.Pages {
		if k.Section == projections.UsageSection { // right at a page's key, and somewhere in its range
			ask[projections.Lookup{Account: k.Account, Section: k.Section, Key: k.Key}] = true
			ask[projections.Lookup{Account: k.Account, Section: k.Section, Key: k.Key + "0"}] = true
		}
	}
	for k := range w.tables.Waiting {
		ask[projections.Lookup{Account: k.Account, Entity: k.Entity, Key: k.ID}] = true
	}
	for _, id := range []events.UUID{large, waiting, gone, never} {
		ask[projections.Lookup{Account: id, Section: projections.SandboxSection, Key: "no such sandbox"}] = true
		ask[projections.Lookup{Account: id, Section: projections.KeySection, Key: "no such key"}] = true
		ask[projections.Lookup{Account: id, Section: projections.UsageSection, Key: "2010-01-01/0"}] = true
		ask[projections.Lookup{Account: id, Entity: projections.SandboxEntity, Key: "no such sandbox"}] = true
		ask[projections.Lookup{Account: id, Entity: projections.UserEntity}] = true
	}
	return slices.Collect(maps.Keys(ask))
}

// testReload forgets every account before each batch, so that all that the fold
// knows comes from the store.
func testReload(t *testing.T, m ReadModel) {
	w := newWriter(t, m.Join(t))
	whole := newModel(t)
	for n := range 3 {
		messages := story(n)
		for len(messages) > 0 {
			some := messages[:min(17, len(messages))]
			messages = messages[len(some):]
			w.reload(some)
			w.mustCommit(w.fold(some...))
			whole.committed(whole.fold(some...))
		}
	}
	for id, want := range whole.accounts {
		tier, err := want.Tier()
		if err != nil {
			t.Fatal(err)
		}
		doc, missing, err := want.Document(whole.tables.Tiers[tier].Body)
		if err != nil {
			t.Fatal(err)
		}
		got, gotMissing := w.tables.Document(id)
		if diff := cmp.Diff(string(doc), string(got)); diff != "" || !slices.Equal(missing, gotMissing) {
			t.Errorf("account %s, missing %v, want %v (-want +got):\n%.2000s", id, gotMissing, missing, diff)
		}
	}
	w.checkContents()
}

// newModel folds as a writer does, into tables alone.
func newModel(t *testing.T) *writer {
	w := &writer{t: t, tables: projections.NewTables(), tally: map[int]projections.Tally{}, accounts: map[events.UUID]*projections.Account{}}
	for p := range Stream.Partitions {
		w.own.Checkpoints = append(w.own.Checkpoints, engine.Checkpoint{Partition: p})
	}
	return w
}

// reload forgets all accounts, and loads those that the messages are of from the
// store. What else the messages need is looked up as they are folded.
func (w *writer) reload(messages []events.Message) {
	w.t.Helper()
	clear(w.accounts)
	var ids []events.UUID
	for _, m := range messages {
		if to := events.ParseSubject(m.Subject); to.Kind == events.SubjectAccount && !slices.Contains(ids, to.Account) {
			ids = append(ids, to.Account)
		}
	}
	rows, err := w.store.Load(w.t.Context(), w.own.Generation, ids)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range rows {
		w.accounts[rows[i].ID] = projections.LoadAccount(&rows[i])
	}
}

func testMemory(t *testing.T, m ReadModel) {
	w := newWriter(t, m.Join(t))
	b := w.fold(append(story(0), story(1)...)...)
	w.mustCommit(b)
	scribble := func(text []byte) {
		for i := range text {
			text[i] = 'x'
		}
	}
	row := func(r *projections.AccountRow) {
		for _, f := range [][]byte{r.User, r.Team, r.Usage, r.Keys, r.Sandboxes} {
			scribble(f)
		}
	}
	for i := range b.Changes {
		c := &b.Changes[i]
		row(&c.Row)
		for _, p := range c.Pages {
			scribble(p.Body)
		}
		for _, p := range c.Waiting {
			scribble(p.Body)
		}
	}
	w.checkContents()
	for range 2 { // what was returned is changed, and asked for again
		rows, err := w.store.Load(t.Context(), w.own.Generation, []events.UUID{large, waiting})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			row(&rows[i])
		}
		for _, r := range w.lookup(w.lookups(events.UUID{0: 0xff})) {
			scribble(r.Body)
		}
		w.checkContents()
	}
}

// testConcurrentLanes has one lane a partition, each with an account of its own,
// at work at the same time.
func testConcurrentLanes(t *testing.T, m ReadModel) {
	s := m.Join(t)
	own := acquire(t, s)
	accounts := map[int]events.UUID{}
	for i := byte(0); len(accounts) < Stream.Partitions; i++ {
		id := events.UUID{0: 8, 15: i}
		probe := projections.Message{Message: events.Message{Subject: events.AccountSubject(id)}}
		accounts[engine.StreamIdentity{Partitions: Stream.Partitions}.PartitionOf(&probe)] = id
	}
	var lanes sync.WaitGroup
	for i := range own.Checkpoints {
		lanes.Go(func() {
			w := newModel(t)
			w.store = s
			w.own = engine.Ownership{Generation: own.Generation, Checkpoints: own.Checkpoints[i : i+1 : i+1]}
			id := accounts[own.Checkpoints[i].Partition]
			for n := range 20 {
				st := &storyteller{chapter: n}
				st.add(events.NewSandboxCreated(st.meta(), id, events.SandboxCreated{ID: fmt.Sprint(n), Template: "base"}))
				b := w.fold(st.all...)
				if err := s.Commit(t.Context(), b); err != nil {
					t.Errorf("partition %d: %v", own.Checkpoints[i].Partition, err)
					return
				}
				w.committed(b)
				rows, err := s.Load(t.Context(), own.Generation, []events.UUID{id})
				if err != nil || len(rows) != 1 || !bytes.Equal(rows[0].Sandboxes, w.tables.Rows[id].Sandboxes) {
					t.Errorf("account %s after %d commits: %d rows, %v; want what the last commit wrote", id, n+1, len(rows), err)
					return
				}
			}
		})
	}
	lanes.Wait()
}

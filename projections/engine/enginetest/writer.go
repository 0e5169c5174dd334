package enginetest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// writer folds messages into batches, as the engine does, and commits them to a
// store. It keeps every account in memory, until reload, and tables that say what
// the store has to hold.
type writer struct {
	t        *testing.T
	store    engine.Store
	own      engine.Ownership
	tables   *projections.Tables
	tally    map[int]projections.Tally
	accounts map[events.UUID]*projections.Account
	position uint64
}

func newWriter(t *testing.T, s engine.Store) *writer {
	t.Helper()
	return &writer{t: t, store: s, own: acquire(t, s), tables: projections.NewTables(), tally: map[int]projections.Tally{},
		accounts: map[events.UUID]*projections.Account{}}
}

// next is the message as the stream would have it.
func (w *writer) next(m events.Message) projections.Message {
	w.position++
	out := projections.Message{Position: w.position, Time: start.Add(time.Duration(w.position) * time.Second), Message: m}
	out.Partition = engine.StreamIdentity{Partitions: Stream.Partitions}.PartitionOf(&out)
	return out
}

// fold makes a batch of messages, which moves the checkpoints of all owned
// partitions on.
func (w *writer) fold(messages ...events.Message) *engine.Batch {
	w.t.Helper()
	b := &engine.Batch{Generation: w.own.Generation}
	changed, tiers := map[events.UUID]*projections.Account{}, map[string]*projections.TierDefinition{}
	tally, last := map[int]projections.Tally{}, map[int]engine.Fingerprint{}
	for _, published := range messages {
		m := w.next(published)
		d, err := projections.Decode(m)
		if err != nil {
			w.t.Fatal(err)
		}
		out := projections.Parked
		switch d.To.Kind {
		case events.SubjectAccount:
			id := d.To.Account
			a := w.accounts[id]
			if a == nil {
				a = projections.NewAccount(id)
				w.accounts[id] = a
			}
			out, err = a.Apply(&d)
			for out != projections.Parked && errors.Is(err, projections.ErrNotLoaded) {
				w.hydrate(a, &d)
				out, err = a.Apply(&d)
			}
			if out == projections.Parked {
				b.Parked = append(b.Parked, d.Park(&id, err))
			} else if err != nil {
				w.t.Fatal(err)
			}
			if a.Wiped() {
				b.Parked = projections.Unpark(b.Parked, id)
			}
			changed[id] = a
		case events.SubjectTier:
			var tier *projections.TierDefinition
			if tier, out = projections.DefineTier(&d); tier != nil {
				tiers[tier.ID] = tier
			}
		default:
			b.Parked = append(b.Parked, d.Park(nil, d.Invalid))
		}
		counts := tally[m.Partition]
		counts[out]++
		tally[m.Partition], last[m.Partition] = counts, engine.FingerprintOf(&m)
	}
	for _, id := range slices.SortedFunc(maps.Keys(changed), func(x, y events.UUID) int { return bytes.Compare(x[:], y[:]) }) {
		c, err := changed[id].Flush()
		if err != nil {
			w.t.Fatal(err)
		}
		b.Changes = append(b.Changes, c)
	}
	for _, id := range slices.Sorted(maps.Keys(tiers)) {
		b.Tiers = append(b.Tiers, *tiers[id])
	}
	for _, c := range w.own.Checkpoints {
		b.Advances = append(b.Advances, engine.Advance{Partition: c.Partition, From: c.Position, To: w.position, Epoch: c.Epoch,
			AsOf: start.Add(time.Duration(w.position) * time.Second), Tally: tally[c.Partition], Last: last[c.Partition]})
	}
	slices.SortFunc(b.Advances, func(x, y engine.Advance) int { return cmp.Compare(x.Partition, y.Partition) })
	return b
}

// hydrate asks the store for what the message needs.
func (w *writer) hydrate(a *projections.Account, d *projections.Decoded) {
	w.t.Helper()
	lookups, err := a.Lookups(d)
	if err != nil || len(lookups) == 0 {
		w.t.Fatalf("message %d needs what is not loaded, and asks for %v, %v", d.Position, lookups, err)
	}
	for _, r := range w.lookup(lookups) {
		if err := a.Hydrate(&r); err != nil {
			w.t.Fatal(err)
		}
	}
}

// mustCommit commits a batch to the store and writes it into the tables.
func (w *writer) mustCommit(b *engine.Batch) {
	w.t.Helper()
	if err := w.store.Commit(w.t.Context(), b); err != nil {
		w.t.Fatalf("commit: %v", err)
	}
	w.committed(b)
}

// committed writes a batch that the store has taken into the tables, and moves the
// checkpoints.
func (w *writer) committed(b *engine.Batch) {
	w.t.Helper()
	for i := range b.Changes {
		if err := w.tables.Apply(&b.Changes[i]); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, d := range b.Tiers {
		w.tables.Define(d)
	}
	for _, p := range b.Parked {
		if err := w.tables.Park(p); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, a := range b.Advances {
		i := slices.IndexFunc(w.own.Checkpoints, func(c engine.Checkpoint) bool { return c.Partition == a.Partition })
		c := &w.own.Checkpoints[i]
		c.Position, c.AsOf = a.To, a.AsOf
		if a.Last.Position > 0 {
			c.Last = a.Last
		}
		counts := w.tally[a.Partition]
		for o, n := range a.Tally {
			counts[o] += n
		}
		w.tally[a.Partition] = counts
	}
}

// Accounts of the story, which are in three partitions.
var (
	large   = events.UUID{0: 1, 15: 1} // has sealed pages in every section
	waiting = events.UUID{0: 2, 15: 7} // events wait for its user, its team, a key and a sandbox
	gone    = events.UUID{0: 3, 15: 4} // is erased in the second chapter
	theTeam = events.UUID{0: 9}
)

// story is the n-th chapter of an endless stream, in which every kind of thing
// happens that a store has to keep. Chapters come in order, from 0 on.
func story(n int) []events.Message {
	s := &storyteller{chapter: n}
	if n == 0 {
		s.add(events.NewQuotaTierDefined(s.meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free"}))
		for _, id := range []events.UUID{large, gone} {
			s.add(events.NewUserRegistered(s.meta(), id, events.UserRegistered{Email: "a@example.org", Tier: "free", QuotaTierID: "free"}))
			s.add(events.NewTeamCreated(s.meta(), id, events.TeamCreated{ID: theTeam, Name: "Team \"ä\"", Slug: "t", QuotaTierID: "free"}))
		}
		s.all = append(s.all, events.Message{Subject: events.AccountSubject(gone), Data: []byte("parked, and erased with its account")})
	}
	if n == 1 {
		s.add(events.NewAccountErased(s.meta(), gone))
		s.add(events.NewQuotaTierDefined(s.meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free, and redefined"}))
	}
	for i := 60 * n; i < 60*(n+1); i++ {
		s.add(events.NewSandboxCreated(s.meta(), large, events.SandboxCreated{ID: fmt.Sprintf("sbx-%d", i), Template: "base",
			Metadata: fmt.Appendf(nil, `{"n":%d,"text":"%0200d","nul":"\u0000"}`, i, i)}))
		s.add(events.NewAPIKeyCreated(s.meta(), large, events.APIKeyCreated{ID: events.UUID{0: 5, 14: byte(i >> 8), 15: byte(i)}, TeamID: theTeam,
			KeyPrefix: "k", Name: fmt.Sprintf("key %d", i), Scope: "all"}))
		s.add(events.NewQuotaUsageIncremented(s.meta(), large, events.QuotaUsageIncremented{QuotaUsage: events.QuotaUsage{TeamID: theTeam,
			UsageDate: events.Date(fmt.Sprintf("20%02d-%02d-%02d", 10+i*13%17, 1+i*5%12, 1+i*11%28)), SandboxCreates: 1, GBHours: 250_000}}))
		if i%20 == 7 { // one that was sealed long ago, one in the tail, one that comes later, and one that never comes
			for _, id := range []int{i / 10, i, i + 25, -i} {
				s.add(events.NewSandboxStatusChanged(s.meta(), large, events.SandboxStatusChanged{ID: fmt.Sprintf("sbx-%d", id), Status: fmt.Sprint("s", i)}))
			}
		}
	}
	s.add(events.NewUserEmailChanged(s.meta(), waiting, events.UserEmailChanged{Email: fmt.Sprintf("chapter-%d@example.org", n)}))
	s.add(events.NewTeamUpdated(s.meta(), waiting, events.TeamUpdated{ID: theTeam, Name: events.Some(fmt.Sprint("chapter ", n))}))
	s.add(events.NewAPIKeyUsed(s.meta(), waiting, events.APIKeyUsed{ID: events.UUID{0: 6}}))
	s.add(events.NewSandboxStarted(s.meta(), waiting, events.SandboxStarted{ID: "sbx"}))
	s.all = append(s.all,
		events.Message{Subject: events.AccountSubject(waiting), Data: []byte("no event"), Header: map[string][]string{"Name": {"value", "another"}}},
		events.Message{Subject: "controlplane.nobody.x", Data: []byte("no account")})
	return s.all
}

type storyteller struct {
	chapter int
	all     []events.Message
}

func (s *storyteller) meta() events.Meta {
	n := 1000*s.chapter + len(s.all)
	return events.Meta{ID: fmt.Sprint(n), Source: "/conformance", Time: events.TimeOf(start.Add(time.Duration(n) * time.Minute))}
}

func (s *storyteller) add(m events.Message, err error) {
	if err != nil {
		panic(err) // the story itself is wrong
	}
	s.all = append(s.all, m)
}

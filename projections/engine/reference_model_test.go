package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
)

// referenceModel is what a stream comes to, folded message by message in memory. An engine
// has to come to the same.
type referenceModel struct {
	fold     *projections.Fold
	last     uint64
	tally    map[int]projections.Tally // by partition
	counts   map[projections.TypeOutcome]int64
	stored   *memoryStore           // every account flushed once, at the end
	consumed map[events.UUID]uint64 // messages that moved each account's position
	messages int
}

func newReferenceModel(t testing.TB, messages []projections.Message) *referenceModel {
	t.Helper()
	w := &referenceModel{fold: projections.NewFold(), tally: map[int]projections.Tally{}, counts: map[projections.TypeOutcome]int64{}, stored: newMemoryStore(t),
		consumed: map[events.UUID]uint64{}, messages: len(messages)}
	for _, m := range messages {
		d, err := projections.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		var account *events.UUID
		gone := false
		if d.To.Kind == events.SubjectAccount {
			account = &d.To.Account
			a := w.fold.Account(*account)
			gone = a != nil && a.Erased()
		}
		out, reason, err := w.fold.Apply(m)
		if err != nil {
			t.Fatal(err)
		}
		if account != nil && !gone {
			w.consumed[*account]++
		}
		if account != nil && w.fold.Account(*account).Erased() {
			w.consumed[*account] = 1
		}
		m.Partition = max(m.Partition, 0)
		tally := w.tally[m.Partition]
		tally[out]++
		w.tally[m.Partition] = tally
		label := d.TypeLabel()
		if gone {
			label = projections.OtherType
		}
		w.counts[projections.TypeOutcome{Type: label, Outcome: out}]++
		if out == projections.Parked {
			w.stored.park(projections.ParkedMessage{Position: m.Position, Partition: m.Partition, Account: account, Time: m.Time,
				Subject: m.Subject, Type: d.Event.Type, Reason: reason.Error(), Payload: m.Data})
		}
		w.last = m.Position
	}
	for _, id := range w.fold.Accounts() {
		c, err := w.fold.Account(id).Flush()
		if err != nil {
			t.Fatal(err)
		}
		c.Replaces = c.Row.ErasedAt != nil
		w.stored.apply(&c)
	}
	for _, d := range w.fold.Tiers() {
		w.stored.Define(*d)
	}
	return w
}

// check compares what an engine has stored with the fold: documents, positions, parked
// messages, tallies, and every row, page and item.
func (w *referenceModel) check(t testing.TB, s *memoryStore) {
	t.Helper()
	if diff := cmp.Diff(w.stored.tables(), s.tables()); diff != "" {
		t.Errorf("tables (-fold +engine):\n%.4000s", diff)
	}
	for _, id := range w.fold.Accounts() {
		doc, missing, err := w.fold.Document(id)
		if err != nil {
			t.Fatal(err)
		}
		got, gotMissing := s.Document(id)
		if diff := cmp.Diff(string(doc), string(got)); diff != "" {
			t.Errorf("document of %s (-fold +engine):\n%.2000s", id, diff)
		}
		if diff := cmp.Diff(missing, gotMissing); diff != "" {
			t.Errorf("missing of %s (-fold +engine):\n%s", id, diff)
		}
		if a, r := w.fold.Account(id), s.Rows[id]; a.Position() != r.Position || a.Parked() != r.Parked {
			t.Errorf("account %s: at %d with %d parked, want %d with %d", id, r.Position, r.Parked, a.Position(), a.Parked())
		}
		if got, want := s.Sums[id], (projections.RowSum{Messages: w.consumed[id], Digest: s.DigestOf(id)}); got != want {
			t.Errorf("account %s counts %d messages, digest %s; want %d, and of what is stored %s", id, got.Messages, got.Digest,
				want.Messages, want.Digest)
		}
	}
	got := map[int]projections.Tally{}
	for _, c := range s.checkpoints {
		if c.Position != w.last {
			t.Errorf("partition %d is at %d, want %d", c.Partition, c.Position, w.last)
		}
		if c.Tally.Total() > 0 {
			got[c.Partition] = c.Tally
		}
	}
	if diff := cmp.Diff(w.tally, got); diff != "" {
		t.Errorf("tallies by partition (-fold +engine):\n%s", diff)
	}
}

// checkObserved compares what the engine reported of its commits with the fold.
func (w *referenceModel) checkObserved(t testing.TB, o *observer) {
	t.Helper()
	if o.events != w.messages {
		t.Errorf("%d messages observed, want %d", o.events, w.messages)
	}
	if diff := cmp.Diff(w.counts, o.counts); diff != "" {
		t.Errorf("outcomes by type (-fold +engine):\n%s", diff)
	}
}

// runToEnd projects the messages by RunToEnd.
func runToEnd(t testing.TB, messages []projections.Message, opt Options) *memoryStore {
	t.Helper()
	s := newMemoryStore(t)
	opt.Logger = slog.New(slog.DiscardHandler)
	p := New(newMemorySource(messages), s, opt)
	defer p.Close()
	if err := p.RunToEnd(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

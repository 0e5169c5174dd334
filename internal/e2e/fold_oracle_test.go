package e2e

import (
	"context"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/oracle"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/store"
)

// TestFoldAgreesWithOracle folds random and hostile streams with this program and with the oracle,
// an independent implementation of the contract, and compares every outcome, label and document:
// two streams of 10,000 messages, and in the long form six new ones of 20,000.
func TestFoldAgreesWithOracle(t *testing.T) {
	t.Parallel()
	first, streams, messages := testrun.Seed(t), uint64(2), uint64(10_000)
	if testrun.Long() {
		streams, messages = 6, 20_000
	}
	for seed := first; seed < first+streams; seed++ {
		g := workload.New(seed, workload.Config{Accounts: 25, HostileShare: 0.3, ErasureShare: 0.002,
			LargeShare: 0.005})
		fold, want := projections.NewFold(), oracle.New()
		for position := uint64(1); position <= messages; position++ {
			m := g.Next()
			w := want.Apply(oracle.Message{Position: position, Subject: m.Subject, Header: m.Header, Data: m.Data})
			out, reason, err := fold.Apply(projections.Message{Position: position,
				Message: events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}})
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(w.Outcome) {
				t.Fatalf("seed %d, message %d: %s (%v), oracle says %s (%s)\n%s\n%v\n%.2000s", seed, position, out, reason, w.Outcome, w.Reason,
					m.Subject, m.Header, m.Data)
			}
		}
		compareDocuments(t, seed, fold, want)
	}
}

func compareDocuments(t *testing.T, seed uint64, fold *projections.Fold, want *oracle.Fold) {
	t.Helper()
	if got, want := len(fold.Accounts()), len(want.Accounts()); got != want {
		t.Errorf("seed %d: %d accounts, oracle has %d", seed, got, want)
	}
	complete := 0
	for _, id := range want.Accounts() {
		w := want.Account(id)
		u, err := events.ParseUUID(id)
		if err != nil {
			t.Fatal(err)
		}
		a := fold.Account(u)
		if a == nil {
			t.Errorf("seed %d: account %s was not heard of", seed, id)
			continue
		}
		doc, missing, err := fold.Document(u)
		if err != nil {
			t.Fatal(err)
		}
		state := a.State(missing)
		if state.String() != string(w.State) || a.Position() != w.Position || a.Parked() != w.Parked {
			t.Errorf("seed %d, account %s: %s at %d with %d parked, oracle has %s at %d with %d", seed, id, state,
				a.Position(), a.Parked(), w.State, w.Position, w.Parked)
		}
		if len(doc) > 0 {
			complete++
		}
		if diff := oracle.Diff(w.Document, doc); (len(doc) > 0 || len(w.Document) > 0) && diff != "" {
			t.Errorf("seed %d, account %s: %s", seed, id, diff)
		}
	}
	if complete == 0 {
		t.Errorf("seed %d: no document to compare", seed)
	}
}

// TestCountsAgreeWithOracle runs a hostile stream through the engine on real servers, and compares
// the counts by type and outcome.
func TestCountsAgreeWithOracle(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.mustPublish(t, workload.New(3, workload.Config{Accounts: 20, HostileShare: 0.4, ErasureShare: 0.003}), 5000)
	store := store.NewStore(s.pool, "test", slog.New(slog.DiscardHandler))
	defer store.Close(context.Background())
	got := counts{}
	p := engine.New(s.client, store, engine.Options{Observer: got, Batch: engine.Bound{Events: 97, Bytes: 1 << 20}})
	defer p.Close()
	if err := p.RunToEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	fold, _ := s.foldByOracle(t)
	want := counts{}
	for typ, outcomes := range fold.Totals() {
		for o, n := range outcomes {
			want[typ+" "+string(o)] = int64(n)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counts (-oracle +engine):\n%s", diff)
	}
	s.checkAgainstOracle(t)
}

// counts observes a projector and adds up its messages by type and outcome.
type counts map[string]int64

func (c counts) Committed(s engine.BatchStats) {
	for k, n := range s.Counts {
		c[k.Type+" "+k.Outcome.String()] += n
	}
}
func (counts) StreamEnd(engine.StreamInfo) {}
func (counts) Assigned(int64, []int)       {}
func (counts) Restarted(engine.Failure)    {}

func (counts) Paused(*engine.Pause, engine.StreamInfo) {}

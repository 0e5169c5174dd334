package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// counted is what a replica's metrics have of messages, by type and outcome.
func (w observed) counted(t *testing.T) map[projections.TypeOutcome]int64 {
	t.Helper()
	all := map[projections.TypeOutcome]int64{}
	for line := range strings.Lines(w.scrape(t)) {
		rest, ours := strings.CutPrefix(line, "projector_events_total{")
		if !ours {
			continue
		}
		var outcome, label string
		var n float64
		if _, err := fmt.Sscanf(rest, `outcome=%q,type=%q} %g`, &outcome, &label, &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for _, o := range projections.Outcomes() {
			if o.String() == outcome {
				all[projections.TypeOutcome{Type: label, Outcome: o}] = int64(n)
			}
		}
	}
	return all
}

// TestOutcomesOfAllReplicas: what two replicas have counted by type and outcome is in the
// database, as their metrics have it, and adds up to the checkpoints' tallies. While nothing comes
// nothing of it is written. Where it cannot be written, everything is projected all the same, and
// each replica says so once.
func TestOutcomesOfAllReplicas(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if _, err := s.pool.Exec(t.Context(), `
CREATE TABLE public.writes (at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.writes DEFAULT VALUES;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE OF outcomes ON export.members FOR EACH ROW EXECUTE FUNCTION public.note();
GRANT INSERT ON public.writes TO PUBLIC`); err != nil {
		t.Fatal(err)
	}
	replicas := []observed{s.startObserved(t), s.startObserved(t)}
	for _, w := range replicas {
		w.waitReports(t, "ok", "projector_partitions 8\n")
	}
	g := workload.New(211, workload.Config{Accounts: 40, HostileShare: 0.2})
	s.mustPublish(t, g, 3000)
	s.waitProjected(t)
	// The tallies come with the checkpoint, and the rest a moment later.
	eventually(t, "all counts", time.Minute, func(ctx context.Context) error {
		st, err := admin.ReadStatus(ctx, s.pool)
		if err != nil {
			return err
		}
		told, metrics := map[projections.TypeOutcome]int64{}, map[projections.TypeOutcome]int64{}
		for _, m := range st.Members {
			if len(m.Outcomes) == 0 {
				return fmt.Errorf("%s has not told", m.Name)
			}
			for k, n := range m.Outcomes {
				told[k] += n
			}
		}
		for _, w := range replicas {
			for k, n := range w.counted(t) {
				metrics[k] += n
			}
		}
		if diff := cmp.Diff(metrics, told); diff != "" {
			return fmt.Errorf("(-metrics +database):\n%s", diff)
		}
		var byOutcome, tally projections.Tally
		types := map[string]bool{}
		for k, n := range told {
			byOutcome[k.Outcome] += n
			types[k.Type] = true
		}
		for _, p := range st.Partitions {
			for o, n := range p.Tally {
				tally[o] += n
			}
		}
		if byOutcome != tally || tally.Total() < 3000 || len(types) < 5 || !types["other"] {
			return fmt.Errorf("they add up to %v, the checkpoints have %v; types %v", byOutcome, tally, types)
		}
		return nil
	})

	writes := func() (n int) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM public.writes`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	beats := func(span time.Duration) {
		t.Helper()
		var from time.Time
		eventually(t, "the checkpoints to beat", time.Minute, func(ctx context.Context) error {
			var at time.Time
			err := s.pool.QueryRow(ctx, `SELECT min(as_of) FROM export.checkpoints`).Scan(&at)
			if from.IsZero() {
				from = at
			}
			if err == nil && at.Sub(from) < span {
				err = fmt.Errorf("by %v", at.Sub(from))
			}
			return err
		})
	}
	before := writes()
	beats(6 * time.Second) // in which each could write once, and one may have been about to
	if after := writes(); after > before+1 || before < 2 {
		t.Errorf("%d writes, and then %d, while nothing came", before, after)
	}

	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE export.members DROP COLUMN outcomes CASCADE`); err != nil {
		t.Fatal(err)
	}
	s.mustPublish(t, g, 1000)
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected, and said", time.Minute, func(ctx context.Context) error {
		var lowest uint64
		if err := s.pool.QueryRow(ctx, `SELECT min(position) FROM export.checkpoints`).Scan(&lowest); err != nil || lowest < info.Last {
			return fmt.Errorf("%d of %d, %w", lowest, info.Last, err)
		}
		for _, w := range replicas {
			if err := hasPrinted(w.process, "cannot note in the database what was counted")(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	s.mustPublish(t, g, 200)
	beats(2 * time.Second)
	for _, w := range replicas {
		said := w.out.tail(1 << 20)
		if n := strings.Count(said, "cannot note in the database what was counted"); n != 1 || strings.Contains(said, "starting again") {
			t.Errorf("said %d times: %s", n, said)
		}
		if status, _, _, err := get(t.Context(), "http://"+w.addr+"/readyz", ""); err != nil || status != http.StatusOK {
			t.Errorf("not ready: %d, %v", status, err)
		}
	}
	s.mustRun(t, 1, "`projector provision` brings it up to date", "status")
}

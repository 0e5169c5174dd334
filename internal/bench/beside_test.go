package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// BenchmarkBeside measures the time from acknowledged to visible, at 200 events a second over 200
// accounts, while one account is refolded that has 60,000 sandboxes, or 60,000 parked messages, and
// whose row has no count and digest: for accounts of its partition and for all others. It also
// measures it while another generation is cut over to.
func BenchmarkBeside(b *testing.B) {
	many, program := size(60_000, 6_000), buildProjector(b)
	r := newReport(b, "From acknowledged to visible, beside acts")
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	long, parked := ids[0], ids[1]
	publishEach(b, s, many, func(i int) (events.Message, error) {
		return events.NewSandboxCreated(newMeta(fmt.Sprint("many-", i)), long,
			events.SandboxCreated{ID: fmt.Sprint("many-", i), Template: "python-3.12"})
	})
	publishEach(b, s, many, func(i int) (events.Message, error) { // a second team is parked
		return events.NewTeamCreated(newMeta(fmt.Sprint("second-", i)), parked,
			events.TeamCreated{ID: events.UUID{9}, Name: "second", Slug: "s", QuotaTierID: "free"})
	})
	stop := s.run(b, engine.Options{Lanes: 2})
	defer stop()
	s.waitProjected(b)
	w, _ := startWatcher(b, s)
	for b.Loop() {
		for what, id := range map[string]events.UUID{"refold of many sandboxes": long, "refold of many parked": parked} {
			var partition int
			if err := s.pool.QueryRow(b.Context(), `SELECT partition FROM export_g1.account_export WHERE account_id = $1`, [16]byte(id)).Scan(&partition); err != nil {
				b.Fatal(err)
			}
			its, others := s.divideByPartition(b, ids[2:], partition)
			began := make(chan time.Duration, 1)
			go func() { began <- s.refold(b, id) }()
			measured := measureBeside(b, s, w, its, others, 4*time.Second)
			r.add(what+": items", "", float64(many))
			r.add(what+": took", "ms", milliseconds(<-began))
			for i, of := range []string{"its partition", "all others"} {
				r.add(what+": p50 in "+of, "ms", milliseconds(percentile(measured[i], 0.5)))
				r.add(what+": longest in "+of, "ms", milliseconds(percentile(measured[i], 1)))
			}
		}
		if out, err := s.command(program, "rebuild", "--cutover=manual").CombinedOutput(); err != nil {
			b.Fatalf("rebuild: %v: %s", err, out)
		}
		ended := make(chan error, 1)
		go func() {
			time.Sleep(time.Second) // first the events alone are measured
			out, err := s.command(program, "cutover").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("cutover: %w: %s", err, out)
			}
			ended <- err
		}()
		measured := measureBeside(b, s, w, ids[2:], ids[2:], 4*time.Second)
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		both := slices.Concat(measured[0], measured[1])
		r.add("cut-over: p50", "ms", milliseconds(percentile(both, 0.5)))
		r.add("cut-over: longest", "ms", milliseconds(percentile(both, 1)))
	}
}

// refold refolds an account whose row has no count and digest, and returns how long that takes.
func (s *stack) refold(b *testing.B, id events.UUID) time.Duration {
	time.Sleep(time.Second) // first the events alone are measured
	if _, err := s.pool.Exec(b.Context(), `UPDATE export_g1.account_export SET counted_at = NULL WHERE account_id = $1`, [16]byte(id)); err != nil {
		b.Error(err)
	}
	began := time.Now()
	f := &acts.Refolder{Target: acts.NewTarget(s.client, s.pool), OnChanged: func(string) {}, OnSkipped: func(what string, why error) { b.Error(what, why) }}
	if err := f.Account(b.Context(), id); err != nil {
		b.Error(err)
	}
	if sums, err := admin.ReadSums(b.Context(), s.pool, []events.UUID{id}); err != nil || sums[id].Messages == 0 {
		b.Error("nothing was refolded", err)
	}
	return time.Since(began)
}

// measureBeside measures the time to visible for accounts of two kinds in turns.
func measureBeside(b *testing.B, s *stack, w *positionWatcher, its, others []events.UUID, span time.Duration) [2][]time.Duration {
	const perSecond = 200
	var out [2][]time.Duration
	n := int(span.Seconds() * perSecond)
	results := make([]time.Duration, n)
	pace(perSecond, n, func(i int) time.Duration {
		of := its
		if i%2 == 1 {
			of = others
		}
		results[i] = timeToVisible(b, s, w, of[i/2%len(of)], i)
		return results[i]
	})
	for i, took := range results {
		out[i%2] = append(out[i%2], took)
	}
	return out
}

// divideByPartition divides accounts into those of a partition and the others.
func (s *stack) divideByPartition(b *testing.B, ids []events.UUID, partition int) (its, others []events.UUID) {
	b.Helper()
	for _, id := range ids {
		var p int
		if err := s.pool.QueryRow(b.Context(), `SELECT partition FROM export_g1.account_export WHERE account_id = $1`, [16]byte(id)).Scan(&p); err != nil {
			b.Fatal(err)
		}
		if p == partition {
			its = append(its, id)
		} else {
			others = append(others, id)
		}
	}
	return its, others
}

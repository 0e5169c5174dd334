package bench

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// BenchmarkBeside measures the time from acknowledged to visible, at 200 events a
// second over 200 accounts, while one account is refolded that has 60,000
// sandboxes, or 60,000 parked messages, of which nothing says that it is stored
// right: that of accounts of its partition, and that of all others. And while
// another generation is cut over to.
func BenchmarkBeside(b *testing.B) {
	many, program := size(60_000, 6_000), buildProjector(b)
	s := newStack(b)
	ids := publishAccounts(b, s, 200)
	long, parked := ids[0], ids[1]
	publishMany(b, s, many, func(i int) (events.Message, error) {
		return events.NewSandboxCreated(events.Meta{ID: fmt.Sprint("many-", i), Source: "/bench", Time: events.TimeOf(time.Now())}, long,
			events.SandboxCreated{ID: fmt.Sprint("many-", i), Template: "python-3.12"})
	})
	publishMany(b, s, many, func(i int) (events.Message, error) { // a second team is parked
		return events.NewTeamCreated(events.Meta{ID: fmt.Sprint("second-", i), Source: "/bench", Time: events.TimeOf(time.Now())}, parked,
			events.TeamCreated{ID: events.UUID{9}, Name: "second", Slug: "s", QuotaTierID: "free"})
	})
	stop := s.run(b, engine.Options{Lanes: 2})
	defer stop()
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	w := watch(b, s)
	for b.Loop() {
		for what, id := range map[string]events.UUID{fmt.Sprintf("refold of %d sandboxes", many): long, fmt.Sprintf("refold of %d parked", many): parked} {
			var partition int
			if err := s.pool.QueryRow(b.Context(), `SELECT partition FROM export_g1.account_export WHERE account_id = $1`, [16]byte(id)).Scan(&partition); err != nil {
				b.Fatal(err)
			}
			its, others := s.partition(b, ids[2:], partition)
			began := make(chan time.Duration, 1)
			go func() { began <- s.refold(b, id) }()
			measured := besideWhile(b, s, w, its, others, 4*time.Second)
			row(b, what, "took "+(<-began).String())
			for i, of := range []string{"its partition", "all others"} {
				row(b, "  visible, "+of, "p50 "+percentile(measured[i], 0.5).String(), "longest "+percentile(measured[i], 1).String())
			}
		}
		if out, err := s.command(program, "rebuild", "--cutover=manual"); err != nil {
			b.Fatalf("rebuild: %v: %s", err, out)
		}
		ended := make(chan error, 1)
		go func() {
			time.Sleep(time.Second) // of the living alone
			out, err := s.command(program, "cutover")
			if err != nil {
				err = fmt.Errorf("cutover: %w: %s", err, out)
			}
			ended <- err
		}()
		measured := besideWhile(b, s, w, ids[2:], ids[2:], 4*time.Second)
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
		row(b, "cut-over", "p50 "+percentile(measured[0], 0.5).String(), "longest "+percentile(slices.Concat(measured[0], measured[1]), 1).String())
	}
}

// command runs the program to its end.
func (s *stack) command(program string, args ...string) (out []byte, err error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.pg.URL(), "NATS_URL="+s.nats.URL(), "ADMIN_ADDR=127.0.0.1:0")
	return cmd.CombinedOutput()
}

// refold refolds an account whose row does not say what went into it, and tells
// how long that took.
func (s *stack) refold(b *testing.B, id events.UUID) time.Duration {
	time.Sleep(time.Second) // of the living alone
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

// besideWhile publishes in turns of accounts of the two kinds.
func besideWhile(b *testing.B, s *stack, w *watcher, its, others []events.UUID, span time.Duration) [2][]time.Duration {
	const perSecond = 200
	var out [2][]time.Duration
	n := int(span.Seconds() * perSecond)
	results := make([]time.Duration, n)
	pace(perSecond, n, func(i int) time.Duration {
		of := its
		if i%2 == 1 {
			of = others
		}
		results[i] = visible(b, s, w, of[i/2%len(of)], i)
		return results[i]
	})
	for i, took := range results {
		out[i%2] = append(out[i%2], took)
	}
	return out
}

// partition divides accounts into those of a partition and the others.
func (s *stack) partition(b *testing.B, ids []events.UUID, partition int) (its, others []events.UUID) {
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

func publishMany(b *testing.B, s *stack, n int, make func(i int) (events.Message, error)) {
	b.Helper()
	i := 0
	if _, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		if i == n {
			return events.Message{}, false
		}
		m, err := make(i)
		if err != nil {
			b.Error(err)
		}
		i++
		return m, true
	}); err != nil {
		b.Fatal(err)
	}
}

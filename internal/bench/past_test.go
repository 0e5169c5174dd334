package bench

import (
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
)

// BenchmarkPast measures what needs one account's past, in a stream of a million messages of
// 500,000 accounts, each with two that are half of the stream apart: `history` of one account,
// when the server has just started and has none of the stream in memory, and afterwards;
// `verify` of 50; and `erase`, which searches all of the stream for what mentions the account.
func BenchmarkPast(b *testing.B) {
	const sample = 100
	accounts := size(500_000, 50_000)
	program := buildProjector(b)
	s := newStack(b)
	ids := publishTwice(b, s, accounts, sample)
	projector := startProcess(b, s.command(program, "run"))
	s.waitProjected(b)
	r := newReport(b, "One account's past")
	r.add("accounts, two messages each", "thousand", float64(accounts)/1000)
	for b.Loop() {
		for turn := range 3 {
			if err := s.nats.Restart(b.Context()); err != nil {
				b.Fatal(err)
			}
			for { // until the client is connected again
				if _, err := s.client.Info(b.Context()); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			for _, server := range []string{"just started", "that has read the stream"} {
				took := s.timeHistories(b, ids)
				milliseconds := func(d time.Duration) float64 { return d.Seconds() * 1000 }
				r.add("history, p50, of a server "+server, "ms", milliseconds(percentile(took, 0.5)))
				r.add("history, p99, of a server "+server+" (aim: 50)", "ms", milliseconds(percentile(took, 0.99)))
				timeReading(b, s, 2*accounts-2*turn) // as far as there are messages after the erasures
			}
			raw := timeReading(b, s, 2*accounts-2*turn)
			r.add("raw reading of the stream", "s", raw.Seconds())
			for what, args := range map[string][]string{
				"verify --sample 50 (aim: 1 s)": {"verify", "--sample", "50"},
				"erase":                         {"erase", "--yes", "--account", ids[turn].String()},
			} {
				m := s.measure(b, func() (time.Duration, int64) { return startProcess(b, s.command(program, args...)).ended(b) })
				r.add(what, "s", m.took.Seconds())
				r.add(what+", CPU of the command", "s", m.cpu.projector.Seconds())
				r.add(what+", CPU of the NATS server", "s", m.cpu.nats.Seconds())
			}
		}
	}
	projector.stop(b)
}

// publishTwice publishes two messages of each account, all first ones before all second ones,
// and gives some of the accounts, from all over the stream.
func publishTwice(b *testing.B, s *stack, accounts, sample int) (ids []events.UUID) {
	b.Helper()
	for half := range 2 {
		backlog := workload.NewBacklog(1, accounts, 2*accounts) // two messages of an account, and then two of the next
		next := 0
		if _, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
			for {
				m, ok := backlog.Next()
				if next++; ok && next%2 != half {
					continue
				}
				if to := events.ParseSubject(m.Subject); half == 0 && next%(2*accounts/sample) == 0 && to.Kind == events.SubjectAccount {
					ids = append(ids, to.Account)
				}
				return message(m.Subject, m.Header, m.Data), ok
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

// timeHistories is how long reading and folding the past of each account takes.
func (s *stack) timeHistories(b *testing.B, ids []events.UUID) (took []time.Duration) {
	b.Helper()
	for _, id := range ids {
		began := time.Now()
		h := projections.NewHistory(id)
		messages := 0
		if err := s.client.ReadAccount(b.Context(), id, 0, func(m projections.Message) error {
			messages++
			_, err := h.Apply(m)
			return err
		}); err != nil {
			b.Fatal(err)
		}
		if messages == 0 {
			b.Errorf("nothing was found of account %s", id)
		}
		took = append(took, time.Since(began))
	}
	return took
}

package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// longPartitions is how many partitions the stream of BenchmarkLong has.
const longPartitions = 256

// BenchmarkLong lives through years: 50 million messages of 2.5 million accounts in 256 partitions,
// of which a twentieth was erased and its messages removed. It measures catching up, the rebuild,
// and what has to be done with such a stream from day to day. `make bench-long` runs it;
// BENCH_LONG_MESSAGES is how many messages it takes instead. It needs hours, says how far it is,
// and what disk it needs before it begins; what it writes is removed at its end, or with the
// folder that it names.
func BenchmarkLong(b *testing.B) {
	given := os.Getenv("BENCH_LONG_MESSAGES")
	if given == "" {
		b.Skip("it takes hours: `make bench-long` runs it")
	}
	total, err := strconv.Atoi(given)
	if err != nil || total < 10_000 {
		b.Fatalf("BENCH_LONG_MESSAGES is %q: it has to be a whole number, 10000 at least", given)
	}
	accounts := total / 20
	needDisk(b, total)
	program := buildProjector(b)
	r := newReport(b, fmt.Sprintf("Long: %d messages of %d accounts in %d partitions, a twentieth of them erased", total, accounts, longPartitions))
	c := newCurveOf(r)
	s := newStackWith(b, stackOptions{partitions: longPartitions})
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%8s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}

	say("publishing")
	erased := s.publishLong(b, workload.NewBacklog(1, accounts, total), say)
	last := total + len(erased)
	say("erasing %d accounts", len(erased))
	left := s.eraseAll(b, erased, say)
	r.add("removed by erasures", "% of all messages", 100*float64(last-left)/float64(last))
	r.add("the stream, of a message that is left", "bytes", diskUsage(b, s.nats.Dir())/float64(left))

	say("catching up")
	stop := s.tellProgress(b, last, say)
	m := s.measure(b, func() (time.Duration, int64) { return s.catchUp(b, program, last) })
	stop()
	r.addLong("catching up", m, left)
	bytes := 0.0
	for _, t := range s.tables(b) {
		bytes += t.main + t.toast + t.indexes
	}
	r.add("a generation, of a message that is left", "bytes", bytes/float64(left))

	say("start, status, verify and take-over")
	s.measureUpkeep(b, c, program, accounts)

	say("rebuilding")
	stop = s.tellProgress(b, last, say)
	m = s.measure(b, func() (time.Duration, int64) { return s.rebuild(b, program) })
	stop()
	r.addLong("rebuild", m, left)
	say("ended")
}

// addLong adds what folding n messages has taken.
func (r *report) addLong(what string, m measured, n int) {
	r.add(what, "thousand/s", float64(n)/m.took.Seconds()/1000)
	r.add("  took, "+what, "s", m.took.Seconds())
	r.add("  CPU of all three, "+what, "µs/event", m.cpu.sum().Seconds()*1e6/float64(n))
	r.add("  memory at most, "+what, "MiB", float64(m.peak)/(1<<20))
	r.add("  WAL, "+what, "bytes/event", float64(m.wal)/float64(n))
}

// needDisk ends the benchmark where the disk has not what so many messages need: the stream, two
// generations and WAL, with half as much to spare.
func needDisk(b *testing.B, messages int) {
	b.Helper()
	const each, fixed = 1500, 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(os.TempDir(), &fs); err != nil {
		b.Fatal(err)
	}
	need, have := float64(messages)*each+fixed, float64(fs.Bavail)*float64(fs.Bsize)
	fmt.Printf("%d messages need %.0f GB of disk below %s, which has %.0f GB; everything is removed at the end\n", messages, need/1e9, os.TempDir(), have/1e9)
	if have < need {
		b.Fatalf("there is too little disk: set TMPDIR to a folder with %.0f GB, or BENCH_LONG_MESSAGES to at most %.0f", need/1e9, max(0, (have-fixed)/each))
	}
}

// publishLong publishes a backlog, and returns every twentieth account.
func (s *stack) publishLong(b *testing.B, backlog *workload.Backlog, say func(string, ...any)) (some []events.UUID) {
	b.Helper()
	published, registered, told := 0, 0, time.Now()
	if _, err := s.client.PublishAll(b.Context(), func() (events.Message, bool) {
		m, ok := backlog.Next()
		if bytes.Contains(m.Data, []byte(`user.registered.v1`)) {
			if registered++; registered%20 == 0 {
				some = append(some, events.ParseSubject(m.Subject).Account)
			}
		}
		if published++; time.Since(told) > 30*time.Second {
			told = time.Now()
			say("  %d published", published)
		}
		return message(m.Subject, m.Header, m.Data), ok
	}); err != nil {
		b.Fatal(err)
	}
	return some
}

// eraseAll publishes the erasures of accounts, and removes their other messages from the stream,
// before anything is folded: so the read model takes on a stream that has these gaps. It returns
// how many messages are left.
//
// `projector erase` does more for each account: it searches the whole stream for what is left of the
// person, which for so many would take weeks.
func (s *stack) eraseAll(b *testing.B, accounts []events.UUID, say func(string, ...any)) (left int) {
	b.Helper()
	publishEach(b, s, len(accounts), func(i int) (events.Message, error) {
		return events.NewAccountErased(newMeta("erase-"+accounts[i].String()), accounts[i])
	})
	st, err := s.jetStream(b).Stream(b.Context(), s.client.Stream())
	if err != nil {
		b.Fatal(err)
	}
	stream := engine.StreamIdentity{Partitions: longPartitions}
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(16)
	told := time.Now()
	for i, account := range accounts {
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			say("  %d of %d erased", i, len(accounts))
		}
		g.Go(func() error {
			m := projections.Message{Message: events.Message{Subject: events.AccountSubject(account)}}
			stored := fmt.Sprintf("controlplane.%d.account.%s", stream.PartitionOf(&m), account)
			return st.Purge(ctx, jetstream.WithPurgeSubject(stored), jetstream.WithPurgeKeep(1))
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	info, err := st.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return int(info.State.Msgs)
}

// tellProgress says every half minute how far the newest generation is.
func (s *stack) tellProgress(b *testing.B, last int, say func(string, ...any)) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(30 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			var position float64
			if err := s.pool.QueryRow(b.Context(), `
SELECT coalesce(avg(position), 0)::float8 FROM export.checkpoints WHERE generation = (SELECT max(generation) FROM export.checkpoints)`).Scan(&position); err == nil {
				say("  %.0f of %d, %.0f %%", position, last, 100*position/float64(last))
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

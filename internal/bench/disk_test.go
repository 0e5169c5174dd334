package bench

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/readmodel"
)

// BenchmarkDisk measures bytes on disk, of a generation, of an account and of an event, and of the
// stream itself; what many updates do to the tables, how many of them stayed in place (HOT), with
// autovacuum as the server has it, and with what one may set for a table; and how much WAL an event
// takes by how many events are committed at once.
func BenchmarkDisk(b *testing.B) {
	program := buildProjector(b)
	b.Run("size", func(b *testing.B) {
		for i, accounts := range pick([]int{10_000, 100_000}, []int{2_000}) {
			total := size(500_000, 40_000)
			r := newReport(b, []string{"Disk, few accounts", "Disk, many accounts"}[i])
			r.add("accounts", "thousand", float64(accounts)/1000)
			r.add("events", "thousand", float64(total)/1000)
			s := newStack(b)
			n := publishBacklog(b, s, workload.NewBacklog(1, accounts, total))
			s.catchUp(b, program, n)
			bytes := 0.0
			for _, t := range s.tables(b) {
				r.add(t.name, "bytes/event", t.main/float64(n))
				r.add(t.name+", TOAST", "bytes/event", t.toast/float64(n))
				r.add(t.name+", indexes", "bytes/event", t.indexes/float64(n))
				bytes += t.main + t.toast + t.indexes
			}
			r.add("a generation", "MB", bytes/1e6)
			r.add("a generation, of an account", "bytes", bytes/float64(accounts))
			r.add("a generation, of an event", "bytes", bytes/float64(n))
			r.add("the stream, of an event", "bytes", diskUsage(b, s.nats.Dir())/float64(n))
		}
	})
	b.Run("updates", func(b *testing.B) {
		for _, form := range vacuumForms {
			updateMany(b, program, form)
		}
	})
	b.Run("wal", func(b *testing.B) {
		r := newReport(b, "Disk: WAL by how many events a commit has")
		s := newMeteredStack(b)
		ids, js := publishAccounts(b, s.stack, 500), s.jetStream(b)
		p := startReplica(b, s.stack, program, "LANES=1", "AUDIT_RATE=0")
		s.waitProjected(b)
		partitions := s.partitionsOf(b)
		for _, at := range []int{1, 10, 100} {
			if _, err := s.pool.Exec(b.Context(), `CHECKPOINT`); err != nil { // so that each begins with whole pages to log
				b.Fatal(err)
			}
			since := s.meter(b, p)
			commits := size(1000, 150)
			for i := range commits {
				s.publishBurst(b, js, ids, partitions, at, i)
			}
			u := since.read(b, []*replica{p})
			n := float64(commits * at)
			what := fmt.Sprintf("%d at once", at)
			r.add(what+": events", "a commit", n/u.commits)
			r.add(what+": WAL", "bytes/event", float64(u.wal)/n)
			r.add(what+": CPU of PostgreSQL", "µs/event", u.cpu.postgres.Seconds()*1e6/n)
			r.add(what+": CPU of the projector", "µs/event", u.cpu.projector.Seconds()*1e6/n)
		}
		p.stop(b)
	})
}

// publishBurst publishes so many changes at once, and waits until all are visible: until the
// checkpoints of their partitions are there, since those of others move once a second.
func (s *stack) publishBurst(b *testing.B, js jetstream.JetStream, ids []events.UUID, partitions map[events.UUID]int, n, round int) {
	b.Helper()
	acks := make([]jetstream.PubAckFuture, n)
	for i := range n {
		m, err := change(ids[(round*n+i)%len(ids)], i)
		if err == nil {
			acks[i], err = js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	last := map[int]uint64{}
	for i, ack := range acks {
		select {
		case a := <-ack.Ok():
			p := partitions[ids[(round*n+i)%len(ids)]]
			last[p] = max(last[p], a.Sequence)
		case err := <-ack.Err():
			b.Fatal(err)
		}
	}
	for len(last) > 0 {
		for p, position := range s.checkpoints(b) {
			if position >= last[p] {
				delete(last, p)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// tableSize is what a table takes, in bytes.
type tableSize struct {
	name                 string
	main, toast, indexes float64
}

// tables are the tables of the live generation.
func (s *stack) tables(b *testing.B) (all []tableSize) {
	b.Helper()
	live, err := readmodel.LiveGeneration(b.Context(), s.pool)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := s.pool.Query(b.Context(), `
SELECT relname, pg_relation_size(oid)::float8, coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0)::float8, pg_indexes_size(oid)::float8
FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace ORDER BY pg_total_relation_size(oid) DESC`, readmodel.SchemaName(live.Number))
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var t tableSize
		if err := rows.Scan(&t.name, &t.main, &t.toast, &t.indexes); err != nil {
			b.Fatal(err)
		}
		all = append(all, t)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// diskUsage is how many bytes the files of a folder have.
func diskUsage(b *testing.B, dir string) (total float64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			total += float64(info.Size())
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

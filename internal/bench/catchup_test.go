package bench

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// BenchmarkCatchUp measures how fast `projector run`, from its start with the settings that
// it has by default, folds a backlog into documents. The limit is what no program can do without: reading the
// stream, and then one COPY of the rows that are there afterwards into empty tables of the
// same kind. CPU time is that of all three processes.
func BenchmarkCatchUp(b *testing.B) {
	program := buildProjector(b)
	for _, shape := range []struct {
		name             string
		accounts, events int
	}{{"few accounts", size(10_000, 2_000), size(500_000, 100_000)}, {"many accounts", size(300_000, 30_000), size(1_200_000, 120_000)}} {
		b.Run(fmt.Sprintf("accounts=%d", shape.accounts), func(b *testing.B) {
			r := newReport(b, "Catching up, "+shape.name)
			s := newStack(b)
			n := publishBacklog(b, s, workload.NewBacklog(1, shape.accounts, shape.events))
			r.addShape(shape.accounts, n)
			for b.Loop() {
				for range size(3, 1) {
					s.forget(b)
					m := s.measure(b, func() (time.Duration, int64) { return s.catchUp(b, program, n) })
					r.addBuilt(m, n, s.limit(b, n))
				}
			}
			s.addDisk(b, r, shape.accounts, n)
		})
	}
}

// measured is what a program's work on a stack has taken.
type measured struct {
	took time.Duration
	cpu  cpuTimes
	peak int64 // most memory of the program, in bytes
	wal  int64 // bytes of WAL that PostgreSQL has written
}

// measure measures what do does; it returns the CPU time and the most memory of the
// program that it has run.
func (s *stack) measure(b testing.TB, do func() (cpu time.Duration, peak int64)) (m measured) {
	b.Helper()
	before, wal, began := s.serversCPU(b), s.wal(b), time.Now()
	m.cpu.projector, m.peak = do()
	m.took = time.Since(began)
	servers := s.serversCPU(b).minus(before)
	m.cpu.nats, m.cpu.postgres, m.wal = servers.nats, servers.postgres, s.wal(b)-wal
	return m
}

// addShape adds how much there is to fold.
func (r *report) addShape(accounts, events int) {
	r.add("accounts", "thousand", float64(accounts)/1000)
	r.add("events", "thousand", float64(events)/1000)
}

// addDisk adds how much the stream and the tables hold once everything is folded, right
// after a VACUUM, so that it is what they need, and not what is free in them.
func (s *stack) addDisk(b *testing.B, r *report, accounts, events int) {
	b.Helper()
	live, err := readmodel.LiveGeneration(b.Context(), s.pool)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.pool.Exec(b.Context(), `VACUUM`); err != nil {
		b.Fatal(err)
	}
	var tables float64
	if err := s.pool.QueryRow(b.Context(), `
SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p')`,
		readmodel.SchemaName(live.Number)).Scan(&tables); err != nil {
		b.Fatal(err)
	}
	stored, err := s.client.Describe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	r.add("disk of the stream", "bytes/event", float64(stored.Bytes)/float64(events))
	r.add("disk of the tables", "bytes/account", tables/float64(accounts))
}

// addBuilt adds what folding n messages has taken, beside its limit.
func (r *report) addBuilt(m measured, n int, l limit) {
	perEvent := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }
	r.add("raw reading", "thousand/s", float64(n)/l.read.Seconds()/1000)
	r.add("raw reading, and COPY of the rows: the limit", "thousand/s", float64(n)/l.sum().Seconds()/1000)
	r.add("documents committed", "thousand/s", float64(n)/m.took.Seconds()/1000)
	r.add("share of raw reading", "%", 100*l.read.Seconds()/m.took.Seconds())
	r.add("share of the limit (aim: 50)", "%", 100*l.sum().Seconds()/m.took.Seconds())
	r.add("CPU of all three (aim: 20)", "µs/event", perEvent(m.cpu.sum()))
	r.add("CPU of the projector", "µs/event", perEvent(m.cpu.projector))
	r.add("CPU of the NATS server", "µs/event", perEvent(m.cpu.nats))
	r.add("CPU of PostgreSQL", "µs/event", perEvent(m.cpu.postgres))
	r.add("memory of the projector, at most", "MiB", float64(m.peak)/(1<<20))
	r.add("WAL", "bytes/event", float64(m.wal)/float64(n))
}

// wal is how many bytes of WAL were written.
func (s *stack) wal(b testing.TB) (bytes int64) {
	b.Helper()
	if err := s.pool.QueryRow(b.Context(), `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&bytes); err != nil {
		b.Fatal(err)
	}
	return bytes
}

// forget drops the read model, so that the stream is folded from the beginning.
func (s *stack) forget(b *testing.B) {
	b.Helper()
	generations, err := readmodel.Generations(b.Context(), s.pool)
	if err != nil {
		b.Fatal(err)
	}
	for _, g := range generations {
		if _, err := s.pool.Exec(b.Context(), `DROP SCHEMA `+readmodel.SchemaName(g.Number)+` CASCADE`); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(b.Context(), `DROP SCHEMA export CASCADE`); err != nil {
		b.Fatal(err)
	}
	s.pool.Reset() // its prepared statements are of tables that are gone
	if err := readmodel.Migrate(b.Context(), s.pg.URL()); err != nil {
		b.Fatal(err)
	}
	if _, err := s.pool.Exec(b.Context(), `CHECKPOINT`); err != nil {
		b.Fatal(err)
	}
}

// catchUp runs the projector until every checkpoint is at the position, and gives its CPU
// time and the most memory that it used.
func (s *stack) catchUp(b testing.TB, program string, position int) (cpu time.Duration, peak int64) {
	b.Helper()
	p := startProcess(b, s.command(program, "run"))
	s.waitReached(b, uint64(position))
	return p.stop(b)
}

// limit is how long the least takes that every projector has to do.
type limit struct{ read, write time.Duration }

func (l limit) sum() time.Duration { return l.read + l.write }

// limit measures it: reading n messages, and writing by COPY the rows that are stored
// now. Neither the decoding nor the reading of rows counts.
func (s *stack) limit(b *testing.B, n int) (l limit) {
	b.Helper()
	l.read = timeReading(b, s, n)
	live, err := readmodel.LiveGeneration(b.Context(), s.pool)
	if err != nil {
		b.Fatal(err)
	}
	for _, table := range []string{"account_export", "account_export_pages", "account_export_items", "account_waiting", "quota_tiers", "parked"} {
		l.write += timeCopy(b, s.pool, readmodel.SchemaName(live.Number)+"."+table)
	}
	return l
}

// timeCopy is how long it takes to copy the rows of a table, which are in memory, into
// another one with the same storage and indexes.
func timeCopy(b *testing.B, pool *pgxpool.Pool, table string) (took time.Duration) {
	b.Helper()
	ctx := b.Context()
	var rows bytes.Buffer
	err := pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().CopyTo(ctx, &rows, `COPY `+table+` TO STDOUT (FORMAT binary)`)
		return err
	})
	if err == nil {
		_, err = pool.Exec(ctx, `CREATE TABLE bare_copy (LIKE `+table+` INCLUDING ALL)`)
	}
	if err == nil {
		began := time.Now()
		err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			_, err := c.Conn().PgConn().CopyFrom(ctx, &rows, `COPY bare_copy FROM STDIN (FORMAT binary)`)
			return err
		})
		took = time.Since(began)
	}
	if err == nil {
		_, err = pool.Exec(context.WithoutCancel(ctx), `DROP TABLE bare_copy`)
	}
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// timeReading is how long reading n messages takes.
func timeReading(b *testing.B, s *stack, n int) time.Duration {
	b.Helper()
	began := time.Now()
	r, err := s.client.Open(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	buf := make([]projections.Message, 0, 8192)
	for read := 0; read < n; {
		if buf, err = r.Next(b.Context(), buf[:0], engine.Bound{Events: 8192, Bytes: 8 << 20}); err != nil {
			b.Fatal(err)
		}
		read += len(buf)
	}
	return time.Since(began)
}

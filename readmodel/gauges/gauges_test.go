package gauges

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// reader is a pool with the API's role, in a mode of sending statements.
func reader(t *testing.T, pool *pgxpool.Pool, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	return readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["role"] = readmodel.ReaderRole
		cfg.ConnConfig.DefaultQueryExecMode = mode
	})
}

// text is what the gauges say, a line each, without those of problems that are 0.
func text(t *testing.T, g *Gauges) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(g)
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, family := range all {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += " " + l.GetValue()
			}
			if v := m.GetGauge().GetValue(); labels == "" || v > 0 {
				fmt.Fprintf(&b, "%s%s %v\n", strings.TrimPrefix(family.GetName(), "projector_"), labels, v)
			}
		}
	}
	return b.String()
}

// TestWhatTheDatabaseKnows is told to the API's role, by one statement, in every mode in
// which a pooler of transactions lets statements be sent.
func TestWhatTheDatabaseKnows(t *testing.T) {
	t.Parallel()
	pool, s := readmodeltest.Open(t)
	check := func(when, want string) {
		t.Helper()
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			g := New(reader(t, pool, mode), readmodeltest.Quiet)
			f, err := read(t.Context(), g.db)
			if err != nil {
				t.Fatalf("%s, %v: %v", when, mode, err)
			}
			g.set(&f)
			if got := text(t, g); got != want {
				t.Errorf("%s, %v: got\n%swant\n%s", when, mode, got, want)
			}
		}
	}
	execute := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	check("nothing was projected", "erasures_unfinished 0\ngeneration_abandoned 0\npartitions_unowned 0\n")
	readmodeltest.Acquire(t, s)
	check("projecting", "erasures_unfinished 0\ngeneration_abandoned 0\npartitions_unowned 0\n")

	note := func(p readmodel.Problem) {
		t.Helper()
		p.Generation = 1
		if err := readmodel.NoteProblems(t.Context(), pool, "one", p); err != nil {
			t.Fatal(err)
		}
	}
	note(readmodel.Problem{Class: readmodel.Refused, Partition: readmodel.NoPartition, Reason: "recreated"})
	note(readmodel.Problem{Class: readmodel.Failed, Partition: 1, Reason: "store"})
	note(readmodel.Problem{Class: readmodel.Failed, Partition: 2, Reason: "store"})
	note(readmodel.Problem{Class: readmodel.Failed, Partition: 3, Reason: "of a newer program"[:2]})
	execute(`UPDATE export.checkpoints SET owner = NULL WHERE partition = 0`)
	execute(`INSERT INTO export.erasures_owed (account_id, anew) VALUES (gen_random_uuid(), false), (gen_random_uuid(), true)`)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	readmodeltest.Acquire(t, builder)
	check("all at once", "erasures_unfinished 1\ngeneration_abandoned 0\npartitions_unowned 1\nproblems error of 1\nproblems error store 2\nproblems refused recreated 1\n")

	builder.Close(t.Context())
	execute(`UPDATE export.members SET seen_at = seen_at - interval '1 minute'; DELETE FROM export.problems WHERE class = 'refused' OR partition > 1; DELETE FROM export.erasures_owed`)
	check("nobody is there any more", "erasures_unfinished 0\ngeneration_abandoned 1\npartitions_unowned 4\nproblems error store 1\n")

	if err := admin.Drop(t.Context(), pool, 2); err != nil {
		t.Fatal(err)
	}
	execute(`UPDATE export.problems SET generation = 7`)
	check("a partition of another generation", "erasures_unfinished 0\ngeneration_abandoned 0\npartitions_unowned 4\n")
}

// countQueries is a tracer that counts what is sent.
type countQueries struct{ n atomic.Int64 }

func (c *countQueries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *countQueries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestOneStatementEveryFiveSeconds is all that it costs.
func TestOneStatementEveryFiveSeconds(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	sent := &countQueries{}
	g := New(readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = sent }), readmodeltest.Quiet)
	if g.interval != 5*time.Second {
		t.Errorf("it is asked every %v", g.interval)
	}
	g.interval = time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	reads := 0
	g.After = func(context.Context, int64) {
		if reads++; reads == 20 {
			stop()
		}
	}
	g.Run(ctx)
	if n := sent.n.Load(); n != int64(reads) {
		t.Errorf("%d statements were sent for %d reads", n, reads)
	}
	if got := text(t, g); got != "" {
		t.Errorf("after its end it says %s", got)
	}
}

// TestAbsentWhileTheDatabaseCannotBeRead: then nothing of before is told, and it is told
// again when it can. A database that an older program has migrated is logged once.
func TestAbsentWhileTheDatabaseCannotBeRead(t *testing.T) {
	t.Parallel()
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	c := pool.Config().ConnConfig
	network := tcpproxy.ForTest(t, fmt.Sprintf("%s:%d", c.Host, c.Port))
	var log bytes.Buffer // Run's own, and this goroutine's once it has ended
	g := New(readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) {
		host, port, _ := strings.Cut(network.Addr(), ":")
		cfg.ConnConfig.Host, cfg.ConnConfig.Fallbacks = host, nil
		if _, err := fmt.Sscan(port, &cfg.ConnConfig.Port); err != nil {
			t.Fatal(err)
		}
	}), slog.New(slog.NewTextHandler(&log, nil)))
	g.interval = 10 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx)
	}()
	there := func() bool { return testutil.CollectAndCount(g) > 10 }
	absent := func() bool { return testutil.CollectAndCount(g) == 0 }
	testrun.Eventually(t, "it is told", there)
	network.Refuse(true)
	network.Cut()
	testrun.Eventually(t, "it is absent while the database is away", absent)
	network.Refuse(false)
	testrun.Eventually(t, "it is told again", there)
	network.Stall()
	testrun.Eventually(t, "it is absent while the database is silent", absent)
	network.Resume()
	testrun.Eventually(t, "it is told once more", there)
	for range 2 {
		if _, err := pool.Exec(t.Context(), `ALTER TABLE export.problems RENAME TO p`); err != nil {
			t.Fatal(err)
		}
		testrun.Eventually(t, "it is absent in an older schema", absent)
		if _, err := pool.Exec(t.Context(), `ALTER TABLE export.p RENAME TO problems`); err != nil {
			t.Fatal(err)
		}
		testrun.Eventually(t, "it is told after the migration", there)
	}
	stop()
	<-ended
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Count(log.String(), "`projector provision` brings it up to date") != 2 {
		t.Errorf("logged %d times, want once for each older schema: %s", n, log.String())
	}
}

// TestMetricsPassLint: names and help texts follow Prometheus's conventions.
func TestMetricsPassLint(t *testing.T) {
	t.Parallel()
	g := New(nil, readmodeltest.Quiet)
	abandoned := true
	g.set(&figures{problems: none(), abandoned: &abandoned})
	problems, err := testutil.CollectAndLint(g)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

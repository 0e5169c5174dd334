package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/internal/acts"
	"accountexport/internal/findings"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// blind observes nothing.
type blind struct{}

func (blind) Committed(engine.BatchStats)             {}
func (blind) StreamEnd(engine.StreamInfo)             {}
func (blind) Assigned(int64, []int)                   {}
func (blind) Paused(*engine.Pause, engine.StreamInfo) {}
func (blind) Restarted(engine.Failure)                {}

// brokenDB fails every statement, and counts them.
type brokenDB struct {
	mu   sync.Mutex
	sent []string
}

func (d *brokenDB) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, fmt.Sprint(strings.Fields(sql)[0], args))
	return pgconn.CommandTag{}, errors.New("away")
}

func (d *brokenDB) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return nil, errors.New("away")
}

func (d *brokenDB) QueryRow(context.Context, string, ...any) pgx.Row { panic("not used") }

func (d *brokenDB) statements() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sent
}

func committed(generation int64, partition int, to uint64) engine.BatchStats {
	return engine.BatchStats{Generation: generation, Advances: []engine.Advance{{Partition: partition, To: to}}}
}

// TestProblemIsOver says what a replica has to have done, since a problem was listed,
// for it to be over.
func TestProblemIsOver(t *testing.T) {
	t.Parallel()
	at := readmodel.Problem{Class: readmodel.Failed, Partition: 3, Reason: "store", Generation: 1, Position: 10, Until: 12, Replica: "gone"}
	with := func(change func(*readmodel.Problem)) readmodel.Problem {
		p := at
		change(&p)
		return p
	}
	commits := func(generation int64, partition int, to uint64) func(*problemLog) {
		return func(l *problemLog) { l.Committed(committed(generation, partition, to)) }
	}
	fails := func(l *problemLog) { l.Restarted(engine.Failure{Reason: "store", Err: errors.New("x")}) }
	guarded := func(l *problemLog) { l.StreamEnd(engine.StreamInfo{}) }
	refused := with(func(p *readmodel.Problem) {
		p.Class, p.Partition, p.Until = readmodel.Refused, readmodel.NoPartition, 0
	})
	for name, c := range map[string]struct {
		problem readmodel.Problem
		done    []func(*problemLog)
		over    bool
	}{
		"nothing was done":                         {at, nil, false},
		"it was passed":                            {at, []func(*problemLog){commits(1, 3, 12)}, true},
		"the checkpoint was written before it":     {at, []func(*problemLog){commits(1, 3, 11)}, false},
		"another partition went on":                {at, []func(*problemLog){commits(1, 4, 99)}, false},
		"it was passed before another error":       {at, []func(*problemLog){commits(1, 3, 12), fails}, false},
		"it was passed after another error":        {at, []func(*problemLog){fails, commits(1, 3, 12)}, true},
		"it has not come again":                    {with(func(p *readmodel.Problem) { p.Age = 61 * time.Second }), []func(*problemLog){commits(1, 3, 2)}, true},
		"another generation is projected":          {at, []func(*problemLog){commits(2, 4, 1)}, true},
		"reading goes on":                          {with(func(p *readmodel.Problem) { p.Reason, p.Until = "source", 0 }), []func(*problemLog){commits(1, 3, 10)}, true},
		"what stalled goes on":                     {with(func(p *readmodel.Problem) { p.Reason, p.Until = "stalled", 0 }), []func(*problemLog){commits(1, 3, 11)}, true},
		"what stalled is where it was":             {with(func(p *readmodel.Problem) { p.Reason, p.Until = "stalled", 0 }), []func(*problemLog){commits(1, 3, 10)}, false},
		"of a replica that has trouble of its own": {with(func(p *readmodel.Problem) { p.Partition = readmodel.NoPartition }), []func(*problemLog){commits(1, 3, 99)}, false},
		"of a replica that is gone": {with(func(p *readmodel.Problem) { p.Partition, p.Age = readmodel.NoPartition, 61*time.Second }),
			[]func(*problemLog){commits(1, 3, 99)}, true},
		"of this replica, which goes on": {with(func(p *readmodel.Problem) { p.Partition, p.Replica = readmodel.NoPartition, "me" }),
			[]func(*problemLog){commits(1, 3, 99)}, true},
		"a refusal, and the stream was not compared": {refused, []func(*problemLog){commits(1, 3, 99)}, false},
		"a refusal, and nothing was committed":       {refused, []func(*problemLog){guarded}, false},
		"a refusal that would have come again":       {refused, []func(*problemLog){guarded, commits(1, 3, 99)}, true},
	} {
		l := newProblemLog(blind{}, &brokenDB{}, "me", slog.New(slog.DiscardHandler))
		commits(1, 3, 99)(l) // before it was listed: says nothing
		guarded(l)
		l.listed = []readmodel.Problem{c.problem}
		l.watching.Store(true)
		for _, do := range c.done {
			do(l)
		}
		l.mu.Lock()
		got := l.over(c.problem)
		l.mu.Unlock()
		if got != c.over {
			t.Errorf("%s: over is %v", name, got)
		}
	}
}

// TestNotesAreRareAndFailuresQuiet: however often something fails, one statement a
// second is sent; none is while nothing is wrong, and none of what has passed within a
// second. A database that takes no notes is logged once.
func TestNotesAreRareAndFailuresQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		db := &brokenDB{}
		l := newProblemLog(blind{}, db, "me", slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		go l.run(ctx)
		for range 1000 {
			l.Committed(committed(1, 3, 5))
			l.settle(ctx)
			l.look(ctx, 0)
		}
		f := engine.Failure{Reason: "store", Err: &pgconn.PgError{Code: "23514", Message: "hunter2", Detail: "hunter2"}, Generation: 1,
			Partitions: []engine.Standing{{Partition: 3, First: 6, Last: 6, Type: "team.created.v1"}}}
		l.Restarted(f)
		l.Committed(committed(1, 3, 6))
		l.Restarted(engine.Failure{Reason: "store", Err: fmt.Errorf("ping: %w", &pgconn.ConnectError{})}) // there is no database to note it in
		time.Sleep(time.Minute)
		if n := len(db.statements()); n != 0 {
			t.Errorf("%d statements were sent of nothing, of what had passed, or to a database that is away", n)
		}
		for range 600 {
			l.Restarted(f)
			time.Sleep(100 * time.Millisecond)
		}
		stop()
		synctest.Wait()
		sent := db.statements()
		if n := len(sent); n < 50 || n > 61 {
			t.Errorf("%d statements were sent in a minute of failures", n)
		}
		if strings.Contains(strings.Join(sent, ""), "hunter2") || !strings.Contains(sent[0], "PostgreSQL refuses: SQLSTATE 23514") {
			t.Errorf("noted is %s", sent[0])
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("logged %d times: %s", n, log.String())
		}
	})
}

// TestEveryReasonIsOfTheClosedList: what may be noted is what metrics have a zero of.
func TestEveryReasonIsOfTheClosedList(t *testing.T) {
	t.Parallel()
	var words []string
	for i, r := range findings.Refusals() {
		words = append(words, r.Reason)
		if r.Exit != 10+i {
			t.Errorf("%s has exit status %d, and is the %d. in the list", r.Reason, r.Exit, i)
		}
	}
	if diff := cmp.Diff(words, readmodel.Refused.Reasons()); diff != "" {
		t.Errorf("(-internal/findings +readmodel):\n%s", diff)
	}
	l := newProblemLog(blind{}, &brokenDB{}, "me", slog.New(slog.DiscardHandler))
	db := l.db.(*brokenDB)
	l.refused(t.Context(), errors.New("not a refusal"))
	l.refused(t.Context(), fmt.Errorf("%w: %w: hunter2", engine.ErrRefused, acts.ErrErasuresMissing))
	if len(db.sent) != 3 || !strings.Contains(db.sent[0], "erasures_missing") || strings.Contains(db.sent[0], "hunter2") {
		t.Errorf("noted is %v, want the refusal, and twice more since that failed", db.sent)
	}
}

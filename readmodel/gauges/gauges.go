package gauges

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// How often the database is asked, and how long it may take to answer.
const (
	interval = 5 * time.Second
	timeout  = 3 * time.Second
)

// Gauges are metrics that are read from the database while [Gauges.Run] runs. They
// implement [prometheus.Collector].
type Gauges struct {
	// Before is called before each statement, and After behind it with the number of
	// problems that it found, where it could be read. Default: nothing. They are set
	// before Run.
	Before func(ctx context.Context)
	After  func(ctx context.Context, problems int64)

	db       *pgxpool.Pool
	log      *slog.Logger
	interval time.Duration
	told     string // the SQLSTATE that was logged last; Run's own

	mu  sync.Mutex // guards now, and is never held over I/O
	now *figures   // nil: the database could not be read
}

// New makes the gauges. The pool need not be able to connect yet.
func New(db *pgxpool.Pool, log *slog.Logger) *Gauges {
	return &Gauges{Before: func(context.Context) {}, After: func(context.Context, int64) {}, db: db, log: log, interval: interval}
}

// Run reads the database at once, and then every five seconds until ctx ends, after
// which the metrics are absent. A database that cannot be read is no error: readiness
// says so, and it is asked again.
func (g *Gauges) Run(ctx context.Context) {
	defer g.set(nil)
	ticker := time.NewTicker(g.interval)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, timeout)
		g.Before(limited)
		cancel()
		limited, cancel = context.WithTimeout(ctx, timeout)
		f, err := read(limited, g.db)
		cancel()
		if err != nil {
			g.set(nil)
			g.explain(err)
		} else {
			g.set(&f)
			g.told = ""
			limited, cancel = context.WithTimeout(ctx, timeout)
			g.After(limited, f.count())
			cancel()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// explain logs, once, what the server says where it does not let the figures be read.
// That the server does not answer is logged by whoever depends on it.
func (g *Gauges) explain(err error) {
	code := pg.Code(err)
	if code == "" || code == g.told {
		return
	}
	g.told = code
	if errors.Is(err, readmodel.ErrSchemaOutdated) || code == pg.InsufficientPrivilege {
		g.log.Warn("metrics that are read from the database are absent: its schema, or what this user may read, is of an older program; "+
			"`projector provision` brings it up to date", "sqlstate", code)
	}
}

func (g *Gauges) set(f *figures) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = f
}

var (
	problemsDesc = prometheus.NewDesc("projector_problems",
		"Partitions of which it is on record that a projector has refused to go on (class refused), or begins again with errors (class error); what is of no one partition counts as one.",
		[]string{"class", "reason"}, nil)
	unownedDesc = prometheus.NewDesc("projector_partitions_unowned",
		"Partitions of the live generation that no replica of the projector owns that is alive.", nil, nil)
	unfinishedDesc = prometheus.NewDesc("projector_erasures_unfinished",
		"Accounts whose erasure was begun and is not proven to be complete.", nil, nil)
	abandonedDesc = prometheus.NewDesc("projector_generation_abandoned",
		"1 while a generation was begun to be built and nobody builds it; absent on a standby, which cannot know.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (g *Gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{problemsDesc, unownedDesc, unfinishedDesc, abandonedDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (g *Gauges) Collect(out chan<- prometheus.Metric) {
	g.mu.Lock()
	now := g.now
	g.mu.Unlock()
	if now == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, p := range now.problems {
		gauge(problemsDesc, float64(p.n), p.class, p.reason)
	}
	gauge(unownedDesc, float64(now.unowned))
	gauge(unfinishedDesc, float64(now.unfinished))
	if now.abandoned != nil {
		v := 0.0
		if *now.abandoned {
			v = 1
		}
		gauge(abandonedDesc, v)
	}
}

package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How often the database is checked if nothing was read from it meanwhile, and how
// long it may take to answer.
const (
	checkInterval = time.Second
	checkTimeout  = 3 * time.Second
)

// databaseMonitor watches whether exports can be read from the database. It logs once
// when the database is lost, and once when it is back.
type databaseMonitor struct {
	exports aliveChecker
	log     *slog.Logger

	up atomic.Bool // written by run, read by the gauge
}

// aliveChecker is the part of [export.Reader] that the monitor needs. CheckAlive
// returns nil if an export was read since then, or can be read now.
type aliveChecker interface {
	CheckAlive(ctx context.Context, then time.Time) error
}

func newDatabaseMonitor(exports aliveChecker, log *slog.Logger) *databaseMonitor {
	return &databaseMonitor{exports: exports, log: log}
}

func (m *databaseMonitor) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "export_database_up",
		Help: "1 while exports can be read from the database, 0 while not: it is away or silent, or not set up for this program."}, func() float64 {
		if m.up.Load() {
			return 1
		}
		return 0
	})
}

// run checks until ctx ends. While requests read exports, their success counts, and
// the monitor sends no query.
func (m *databaseMonitor) run(ctx context.Context) error {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	changed := time.Now()
	for known := false; ; known = true {
		err := m.check(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if was := m.up.Swap(err == nil); !known || was != (err == nil) {
			m.logChange(err, known, time.Since(changed))
			changed = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *databaseMonitor) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return m.exports.CheckAlive(ctx, time.Now().Add(-checkInterval))
}

// logChange logs that the database was lost or found, and after how long.
func (m *databaseMonitor) logChange(err error, known bool, after time.Duration) {
	switch {
	case err != nil && known:
		m.log.Error("lost the database: exports cannot be read", "error", err, "after", after.String())
	case err != nil:
		m.log.Error("exports cannot be read from the database yet", "error", err)
	case known:
		m.log.Info("found the database: exports can be read", "after", after.String())
	}
}

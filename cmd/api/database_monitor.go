package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How often the database is looked at from whom nothing was read since, and how
// long it has for an answer.
const (
	checkInterval = time.Second
	checkTimeout  = 3 * time.Second
)

// databaseMonitor is how the API sees its database: whether exports can be read. It logs once
// that it has lost the database, and once that it has found it.
type databaseMonitor struct {
	exports heard
	log     *slog.Logger
	up      atomic.Bool
}

// heard is nil where exports could be read since then, or can be now.
type heard interface {
	CheckAlive(ctx context.Context, then time.Time) error
}

func newDatabaseMonitor(exports heard, log *slog.Logger) *databaseMonitor {
	return &databaseMonitor{exports: exports, log: log}
}

func (v *databaseMonitor) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "export_database_up",
		Help: "1 while exports can be read from the database, 0 while not: it is away or silent, or not set up for this program."}, func() float64 {
		if v.up.Load() {
			return 1
		}
		return 0
	})
}

// run looks until ctx ends. While others read, what they heard counts.
func (v *databaseMonitor) run(ctx context.Context) error {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	changed := time.Now()
	for known := false; ; known = true {
		err := v.check(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if was := v.up.Swap(err == nil); !known || was != (err == nil) {
			v.say(err, known, time.Since(changed))
			changed = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (v *databaseMonitor) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return v.exports.CheckAlive(ctx, time.Now().Add(-checkInterval))
}

func (v *databaseMonitor) say(err error, known bool, after time.Duration) {
	switch {
	case err != nil && known:
		v.log.Error("lost the database: exports cannot be read", "error", err, "after", after.String())
	case err != nil:
		v.log.Error("exports cannot be read from the database yet", "error", err)
	case known:
		v.log.Info("found the database: exports can be read", "after", after.String())
	}
}

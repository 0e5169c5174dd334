package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/readmodel/admin"
)

// ledgerGauges are the metrics of the ledger of erasures.
type ledgerGauges struct {
	entries, age prometheus.Gauge
}

func newLedgerGauges(reg prometheus.Registerer) *ledgerGauges {
	g := &ledgerGauges{
		entries: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_erasures",
			Help: "Accounts on the ledger of erasures."}),
		age: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_erasures_export_age_seconds",
			Help: "How long ago the ledger of erasures was exported last, or its first entry made where it never was; 0 without entries."}),
	}
	reg.MustRegister(g.entries, g.age)
	return g
}

// update reads the ledger. Where that fails, the gauges stay as they were.
func (g *ledgerGauges) update(ctx context.Context, pool *pgxpool.Pool) error {
	l, err := admin.ReadLedgerStatus(ctx, pool)
	if err == nil {
		g.entries.Set(float64(l.Erasures))
		g.age.Set(l.Age.Seconds())
	}
	return err
}

package ops

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// PoolCollector exports a database pool's statistics as pgxpool_* metrics.
func PoolCollector(pool *pgxpool.Pool) prometheus.Collector {
	return &poolCollector{pool.Stat, poolMetrics()}
}

type poolCollector struct {
	stat    func() *pgxpool.Stat
	metrics []poolMetric
}

type poolMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*pgxpool.Stat) float64
}

func poolMetrics() []poolMetric {
	metric := func(kind prometheus.ValueType, name, help string, value func(*pgxpool.Stat) float64) poolMetric {
		return poolMetric{prometheus.NewDesc("pgxpool_"+name, help, nil, nil), kind, value}
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	seconds := func(d time.Duration) float64 { return d.Seconds() }
	return []poolMetric{
		metric(gauge, "max_connections", "Most connections that the pool opens.",
			func(s *pgxpool.Stat) float64 { return float64(s.MaxConns()) }),
		metric(gauge, "connections", "Connections that are open or being opened.",
			func(s *pgxpool.Stat) float64 { return float64(s.TotalConns()) }),
		metric(gauge, "acquired_connections", "Connections in use.",
			func(s *pgxpool.Stat) float64 { return float64(s.AcquiredConns()) }),
		metric(gauge, "idle_connections", "Open connections not in use.",
			func(s *pgxpool.Stat) float64 { return float64(s.IdleConns()) }),
		metric(counter, "opened_connections_total", "Connections opened.",
			func(s *pgxpool.Stat) float64 { return float64(s.NewConnsCount()) }),
		metric(counter, "acquires_total", "Times that a connection was taken from the pool.",
			func(s *pgxpool.Stat) float64 { return float64(s.AcquireCount()) }),
		metric(counter, "acquire_duration_seconds_total", "Time spent on taking connections from the pool.",
			func(s *pgxpool.Stat) float64 { return seconds(s.AcquireDuration()) }),
		metric(counter, "empty_acquires_total", "Times that somebody had to wait for a connection.",
			func(s *pgxpool.Stat) float64 { return float64(s.EmptyAcquireCount()) }),
		metric(counter, "canceled_acquires_total", "Times that somebody gave up waiting for a connection.",
			func(s *pgxpool.Stat) float64 { return float64(s.CanceledAcquireCount()) }),
	}
}

// Describe implements [prometheus.Collector].
func (c *poolCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *poolCollector) Collect(out chan<- prometheus.Metric) {
	s := c.stat()
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}

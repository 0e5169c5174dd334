package relay

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what a relay tells of itself.
type Metrics struct {
	publishedTotal *prometheus.CounterVec
	restarts       *prometheus.CounterVec
	active         prometheus.Gauge

	mu       sync.Mutex
	began    time.Time
	progress time.Time // zero: none yet
	turned   time.Time // of progress, or of a beginning anew; zero: neither yet
	standby  string
	status   Status
	looked   time.Time // when status was read; zero: never
}

// NewMetrics registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := newMetrics()
	reg.MustRegister(m, m.publishedTotal, m.restarts, m.active)
	return m
}

func newMetrics() *Metrics {
	m := &Metrics{
		began: time.Now(),
		publishedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_published_total",
			Help: "Messages that are acknowledged, by how: published, or found, where an earlier relay had published them."}, []string{"how"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "relay_restarts_total",
			Help: "Times the relay began anew with the outbox."}, []string{"reason"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "relay_active",
			Help: "1 while this relay works; 0 while it stands by, or cannot."}),
	}
	for _, how := range []string{"published", "found"} {
		m.publishedTotal.WithLabelValues(how)
	}
	for _, reason := range []string{reasonDatabase, reasonStream, reasonTakenOver} {
		m.restarts.WithLabelValues(reason)
	}
	return m
}

var (
	pendingDesc = prometheus.NewDesc("relay_pending_messages", "Messages in the outbox that are not known to be published.", nil, nil)
	oldestDesc  = prometheus.NewDesc("relay_oldest_pending_seconds",
		"How long the oldest of them has waited, or how long the outbox could not be read; 0 where nothing waits. It grows while either server is away.", nil, nil)
	refusedDesc  = prometheus.NewDesc("relay_refused_messages", "Messages that JetStream refuses, or whose row was changed by hand, each of which holds up its account.", nil, nil)
	progressDesc = prometheus.NewDesc("relay_last_progress_timestamp_seconds",
		"When something was last acknowledged, or nothing was found to wait; beats while standing by, too.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pendingDesc, oldestDesc, refusedDesc, progressDesc} {
		ch <- d
	}
}

// lookGrace is how old what is known of the outbox may be.
const lookGrace = 10 * time.Second

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	ago := time.Since(m.began)
	if !m.looked.IsZero() {
		ago = time.Since(m.looked)
		gauge(pendingDesc, float64(m.status.Pending))
		gauge(refusedDesc, float64(len(m.status.Refused)))
	}
	oldest := 0.0
	if m.status.Pending > 0 {
		oldest = (m.status.Oldest + ago).Seconds()
	}
	if ago > lookGrace {
		oldest = max(oldest, ago.Seconds())
	}
	gauge(oldestDesc, oldest)
	if !m.progress.IsZero() {
		gauge(progressDesc, float64(m.progress.UnixMilli())/1000)
	}
}

// Looked is told what is in the outbox.
func (m *Metrics) Looked(s Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status, m.looked = s, time.Now()
}

// readyTimeout is how long a relay may make no progress.
const readyTimeout = 15 * time.Second

// Ready fails while the relay makes no progress: it publishes nothing, and does not
// find that nothing waits. One that stands by is ready.
func (m *Metrics) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch since := time.Since(m.progress); {
	case m.progress.IsZero():
		return fmt.Errorf("nothing published yet, and the outbox not found empty")
	case since > readyTimeout:
		return fmt.Errorf("nothing published for %s, and the outbox not found empty", since.Round(time.Second))
	}
	return nil
}

// State says that the relay stands by; empty where it does not.
func (m *Metrics) State() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.standby
}

func (m *Metrics) published(found bool) {
	how := "published"
	if found {
		how = "found"
	}
	m.publishedTotal.WithLabelValues(how).Inc()
	m.beat()
}

func (m *Metrics) beat() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress = time.Now()
	m.turned = m.progress
}

// Turned is when the relay last gave a sign of life: it made progress, stood by, or began anew
// since a server was away. It is zero before the first.
func (m *Metrics) Turned() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.turned
}

func (m *Metrics) progressed() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress
}

func (m *Metrics) restarted(reason string) {
	m.restarts.WithLabelValues(reason).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turned = time.Now()
}

func (m *Metrics) setActive(on bool) {
	if on {
		m.active.Set(1)
	} else {
		m.active.Set(0)
	}
}

func (m *Metrics) setStandby(state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.standby = state
}

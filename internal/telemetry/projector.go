// Package telemetry turns what a projector reports into Prometheus metrics and into
// its readiness. The metrics' names are those of the design; times are in seconds.
//
// Nothing here fails or blocks the projector: its methods only set values in memory.
package telemetry

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// Projector observes a projector; it implements [engine.Observer]. It is safe for
// concurrent use: the engine's methods come from several goroutines, and Collect,
// Ready and State from the admin server's.
//
// Messages are counted when their batch is committed, so during the life of the
// process each is counted under exactly one outcome. The totals since the beginning
// are in the read model's checkpoints.
type Projector struct {
	// Set by NewProjector; each metric has a lock of its own.
	events           *prometheus.CounterVec
	position         *prometheus.GaugeVec
	batch            prometheus.Histogram
	took             prometheus.Histogram
	toCommit         prometheus.Histogram
	info             *prometheus.GaugeVec
	restarts         *prometheus.CounterVec
	progress         prometheus.Gauge
	partitions       prometheus.Gauge
	streamPartitions prometheus.Gauge
	offContract      *prometheus.GaugeVec
	paused           prometheus.Gauge
	progressTimeout  time.Duration

	// mu guards the fields below, and keeps the metrics of position and partitions
	// in step with them. It is never held over I/O.
	mu         sync.Mutex
	lag        lag
	generation int64
	owned      map[int]bool // partitions; nil: not known yet

	turned atomic.Int64 // Unix nanoseconds of the engine's last sign of life; 0: none yet
}

// NewProjector creates the metrics and registers them. Without progress for
// progressTimeout the projector is not ready. What is known of the stream and the
// checkpoints may be as old as grace, which has to be a little more than the engine's
// interval between two looks.
func NewProjector(reg prometheus.Registerer, progressTimeout, grace time.Duration) *Projector {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100})
	}
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 18)
	p := &Projector{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "projector_events_total",
			Help: "Messages committed, by event type (without controlplane.) and outcome."}, []string{"type", "outcome"}),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "projector_position",
			Help: "Stream sequence up to which a partition's messages are committed."}, []string{"partition"}),
		batch: histogram("projector_batch_events", "Messages in a committed batch.", prometheus.ExponentialBuckets(1, 4, 10)),
		took:  histogram("projector_batch_duration_seconds", "Time from the start to the end of a batch's transaction.", seconds),
		toCommit: histogram("projector_event_to_commit_seconds",
			"Time from the stream's timestamp of a message to the end of its transaction.", seconds),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "projector_generation_info",
			Help: "1 for the generation that is projected, with the program's projection version."}, []string{"generation", "version"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "projector_restarts_total",
			Help: "Times the projector began again at its checkpoint."}, []string{"reason"}),
		progress: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_last_progress_timestamp_seconds",
			Help: "When a checkpoint was last written; beats while the stream is idle or projecting is paused, too."}),
		partitions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_partitions",
			Help: "Partitions that this replica owns; over all replicas they add up to projector_stream_partitions."}),
		streamPartitions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_stream_partitions",
			Help: "Partitions of the stream, by its subject transform."}),
		offContract: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "projector_stream_off_contract",
			Help: "1 for each setting of the stream that is not as the contract wants it, though nothing is lost by it yet."}, []string{"what"}),
		paused: prometheus.NewGauge(prometheus.GaugeOpts{Name: "projector_paused",
			Help: "1 while projecting is paused, by projector pause: no checkpoint moves until projector resume."}),
		progressTimeout: progressTimeout, lag: lag{grace: grace, checkpoints: map[int]checkpoint{}, owned: -1, began: time.Now()},
	}
	reg.MustRegister(p, p.events, p.position, p.batch, p.took, p.toCommit, p.info, p.restarts, p.progress,
		p.partitions, p.streamPartitions, p.offContract, p.paused)
	for _, reason := range []string{"fenced", "stalled", "source", "store"} {
		p.restarts.WithLabelValues(reason)
	}
	return p
}

// Describe implements [prometheus.Collector].
func (p *Projector) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagEvents
	ch <- lagSeconds
	ch <- lagKnown
}

// Collect implements [prometheus.Collector] for the metrics that depend on the time
// of the scrape.
func (p *Projector) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	f := p.lag.figures(time.Now())
	p.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, f.seconds)
	if f.known {
		ch <- prometheus.MustNewConstMetric(lagEvents, prometheus.GaugeValue, f.events)
		ch <- prometheus.MustNewConstMetric(lagKnown, prometheus.GaugeValue, float64(f.since.UnixMilli())/1000)
	}
}

// Committed implements [engine.Observer].
func (p *Projector) Committed(s engine.BatchStats) {
	p.turn()
	now := time.Now()
	for k, n := range s.Counts {
		p.events.WithLabelValues(k.Type, k.Outcome.String()).Add(float64(n))
	}
	if s.Events > 0 {
		p.batch.Observe(float64(s.Events))
		p.took.Observe(s.Took.Seconds())
	}
	for _, at := range s.Times {
		p.toCommit.Observe(max(0, now.Sub(at).Seconds()))
	}
	p.progress.SetToCurrentTime()

	p.mu.Lock()
	defer p.mu.Unlock()
	p.lag.checkpointAt = now
	p.switchGeneration(s.Generation)
	for _, a := range s.Advances {
		if p.owned != nil && !p.owned[a.Partition] {
			continue // no longer owned
		}
		p.position.WithLabelValues(strconv.Itoa(a.Partition)).Set(float64(a.To))
		p.lag.checkpoints[a.Partition] = checkpoint{a.To, a.AsOf}
	}
	if p.owned != nil {
		p.lag.setAssigned(len(p.owned))
	}
}

// switchGeneration resets the metrics if they are of another generation. p.mu is locked.
func (p *Projector) switchGeneration(generation int64) {
	if generation == p.generation {
		return
	}
	p.info.Reset()
	p.position.Reset()
	clear(p.lag.checkpoints)
	p.generation = generation
	p.info.WithLabelValues(strconv.FormatInt(generation, 10),
		fmt.Sprintf("%d.%d", projections.VersionMajor, projections.VersionMinor)).Set(1)
}

// Assigned implements [engine.Observer].
func (p *Projector) Assigned(generation int64, partitions []int) {
	p.turn()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.switchGeneration(generation)
	p.partitions.Set(float64(len(partitions)))
	p.owned = map[int]bool{}
	for _, n := range partitions {
		p.owned[n] = true
	}
	for n := range p.lag.checkpoints {
		if !p.owned[n] {
			delete(p.lag.checkpoints, n)
			p.position.DeleteLabelValues(strconv.Itoa(n))
		}
	}
	p.lag.setAssigned(len(partitions))
	if len(partitions) == 0 { // there is nothing to write: being a member is progress enough
		p.lag.checkpointAt = time.Now()
		p.progress.SetToCurrentTime()
	}
}

// StreamEnd implements [engine.Observer].
func (p *Projector) StreamEnd(info engine.StreamInfo) {
	p.turn()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range info.Deviations {
		p.offContract.WithLabelValues(d.What).Set(1)
	}
	for _, d := range p.lag.end.Deviations {
		if !slices.ContainsFunc(info.Deviations, func(now engine.Deviation) bool { return now.What == d.What }) {
			p.offContract.DeleteLabelValues(d.What)
		}
	}
	p.learned(info)
}

func (p *Projector) learned(info engine.StreamInfo) {
	p.lag.learned(info)
	p.streamPartitions.Set(float64(info.Partitions))
}

// Paused implements [engine.Observer]. During a pause the lag is the whole
// generation's: a replica that was started since owns nothing, and the partitions of
// one that ended belong to nobody until the pause ends.
func (p *Projector) Paused(pause *engine.Pause, info engine.StreamInfo) {
	p.turn()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lag.pause = pause; pause == nil {
		p.paused.Set(0)
		return
	}
	p.paused.Set(1)
	p.lag.checkpointAt = time.Now()
	p.progress.SetToCurrentTime()
	if info.Name != "" { // otherwise the end is unknown and stays, and readiness does not depend on it
		info.Deviations = p.lag.end.Deviations // they stay until the next StreamEnd
		p.learned(info)
	}
}

// State says what keeps a projector that is ready from projecting; it is empty if
// nothing does.
func (p *Projector) State() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lag.pause == nil {
		return ""
	}
	return "paused " + p.lag.pause.String() + ": `projector resume` ends that"
}

// Restarted implements [engine.Observer].
func (p *Projector) Restarted(f engine.Failure) {
	p.turn()
	p.restarts.WithLabelValues(f.Reason).Inc()
}

func (p *Projector) turn() { p.turned.Store(time.Now().UnixNano()) }

// Turned is when the engine last gave a sign of life; zero before the first. It gives one
// with every batch, heartbeat and look at the stream, while it is paused, and with every attempt to begin again
// where a server is away.
func (p *Projector) Turned() time.Time {
	p.mu.Lock() // so that whoever holds the lock for ever is noticed
	defer p.mu.Unlock()
	if at := p.turned.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Ready returns an error while no checkpoint is written. Those of idle partitions are
// written every second, so if none is, nothing moves, whatever the reason. A replica
// without partitions, or during a pause, is ready while it is a member.
func (p *Projector) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch since := time.Since(p.lag.checkpointAt); {
	case p.lag.checkpointAt.IsZero():
		return fmt.Errorf("no checkpoint written yet")
	case since > p.progressTimeout:
		return fmt.Errorf("no checkpoint written for %s", since.Round(time.Second))
	}
	return nil
}

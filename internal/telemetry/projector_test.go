package telemetry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"accountexport/projections/engine"
)

// testProjector is the telemetry of a projector of two partitions whose stream and
// checkpoints the test moves, with the clock of a synctest bubble.
type testProjector struct {
	*Projector
	reg *prometheus.Registry
}

func newTestProjector() testProjector {
	w := testProjector{reg: prometheus.NewRegistry()}
	w.Projector = NewProjector(w.reg, 15*time.Second, 3*time.Second)
	return w
}

// reportEnd reports the stream's end, and commits reports the checkpoints that the
// projector then writes for both partitions.
func (w testProjector) reportEnd(end uint64) {
	w.StreamEnd(engine.StreamInfo{Name: "S", Last: end, Time: time.Now(), Partitions: 2})
}

func (w testProjector) reportCheckpoints(to ...uint64) {
	s := engine.BatchStats{Generation: 1}
	for i, p := range to {
		s.Advances = append(s.Advances, engine.Advance{Partition: i, To: p, AsOf: time.Now()})
	}
	w.Committed(s)
}

// lagMetrics returns the lag in events and seconds, and the age of what is known; -1 for a
// metric that is absent.
func (w testProjector) lagMetrics(t *testing.T) [3]float64 {
	t.Helper()
	out := [3]float64{-1, -1, -1}
	all, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		v := m.GetMetric()[0].GetGauge().GetValue()
		switch m.GetName() {
		case "projector_lag_events":
			out[0] = v
		case "projector_lag_seconds":
			out[1] = v
		case "projector_lag_known_timestamp_seconds":
			out[2] = float64(time.Now().UnixMilli())/1000 - v
		}
	}
	return out
}

func (w testProjector) want(t *testing.T, when string, want ...float64) {
	t.Helper()
	got := w.lagMetrics(t)
	for i := range want {
		if d := got[i] - want[i]; d > 0.01 || d < -0.01 {
			t.Errorf("%s: lag in events, in seconds, and age are %v, want %v", when, got, want)
			return
		}
	}
}

// followIdle has the projector follow an idle stream for that many seconds.
func (w testProjector) followIdle(end uint64, seconds int) {
	for range seconds {
		w.reportEnd(end)
		w.reportCheckpoints(end, end)
		time.Sleep(time.Second)
	}
}

func TestLagGrowsWhileAServerStandsStill(t *testing.T) {
	t.Run("nothing is known at first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTestProjector()
			w.want(t, "at start", -1, 0, -1)
			time.Sleep(10 * time.Second)
			w.want(t, "without any answer", -1, 10, -1)
			w.Assigned(1, []int{0, 1})
			w.reportEnd(100)
			w.want(t, "without a checkpoint", -1, 10, -1)
			w.reportCheckpoints(40)
			time.Sleep(time.Second)
			w.reportEnd(100)
			w.want(t, "one partition has told", 60, 1, 1)
			w.reportCheckpoints(100, 100)
			w.want(t, "both are there", 0, 0, 0)
		})
	})
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTestProjector()
			w.Assigned(1, []int{0, 1})
			w.followIdle(7, 5)
			w.want(t, "followed", 0, 0, 1)
			time.Sleep(29 * time.Second) // neither server answers
			w.want(t, "the stream cannot be asked", 0, 30, 30)
			for range 10 {
				w.reportEnd(7)
				time.Sleep(time.Second)
			}
			w.want(t, "it can be, and no checkpoint can be written", 0, 40, 40)
			w.followIdle(7, 1)
			w.want(t, "all is well again", 0, 0, 1)
		})
	})
	t.Run("messages wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTestProjector()
			w.Assigned(1, []int{0, 1})
			w.followIdle(7, 5)
			w.reportEnd(20)
			w.want(t, "behind by name", 0, 0)
			time.Sleep(time.Second)
			w.reportEnd(30)
			w.want(t, "behind", 23, 2)
			w.reportCheckpoints(30, 30)
			w.want(t, "caught up", 0, 0)
			w.reportEnd(50)
			time.Sleep(33 * time.Second)
			w.want(t, "the servers stand", 20, 33)
			time.Sleep(time.Second)
			w.want(t, "and a second later", 20, 34)
		})
	})
	t.Run("without partitions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTestProjector()
			for range 3 {
				w.Assigned(1, nil)
				w.reportEnd(7)
				time.Sleep(time.Second)
			}
			w.want(t, "a member", 0, 0, 1)
			time.Sleep(20 * time.Second)
			w.want(t, "cut off", 0, 21, 21)
		})
	})
	t.Run("paused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTestProjector()
			pause := &engine.Pause{Since: time.Now(), Generation: 1, Lowest: 5, AsOf: time.Now()}
			for range 8 {
				w.Paused(pause, engine.StreamInfo{Name: "S", Last: 9, Time: time.Now(), Partitions: 2})
				time.Sleep(time.Second)
			}
			w.want(t, "of all partitions", 4, 8, 1)
			for range 10 {
				w.Paused(pause, engine.StreamInfo{})
				time.Sleep(time.Second)
			}
			w.want(t, "without the stream", 4, 18, 11)
			if err := w.Ready(); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestReadinessGoesWithTheLag: while the projector is not ready because nothing is
// written, the lag is at least as long.
func TestReadinessGoesWithTheLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestProjector()
		w.Assigned(1, []int{0, 1})
		w.followIdle(7, 2)
		if err := w.Ready(); err != nil {
			t.Error(err)
		}
		for range 20 {
			w.reportEnd(7)
			time.Sleep(time.Second)
			if lag := w.lagMetrics(t)[1]; (w.Ready() != nil) != (lag > 15) {
				t.Errorf("ready: %v, and the lag is %v s", w.Ready(), lag)
			}
		}
	})
}

func TestMetricsPassLint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestProjector()
		w.Assigned(1, []int{0, 1})
		w.followIdle(7, 2)
		problems, err := testutil.GatherAndLint(w.reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
	})
}

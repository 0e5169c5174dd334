package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/workload"
	"accountexport/readmodel/admin"
)

// TestLagWhileServersStand: while the database or NATS does not answer, the lag in seconds grows
// from scrape to scrape, the time at which it was known does not advance, and in the end the
// projector is not ready. When the server continues, all three recover.
func TestLagWhileServersStand(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"DATABASE_URL", "NATS_URL"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			at := s.databaseAddr()
			if setting == "NATS_URL" {
				at = s.nats.Addr()
			}
			network := tcpproxy.ForTest(t, at)
			w := s.startObservedThrough(t, setting, network)
			s.publishMarked(t, someone, 3)
			s.waitProjected(t)
			calm := []string{"projector_lag_seconds 0\n", "projector_lag_events 0\n", "projector_stream_partitions 16\n", "projector_partitions 16\n"}
			w.waitReports(t, "ok", calm...)
			if lag := w.gauge(t, "projector_lag_known_timestamp_seconds"); time.Since(time.Unix(int64(lag), 0)) > time.Minute {
				t.Errorf("known at %v", lag)
			}

			network.Stall()
			s.publishMarked(t, someone, 5)
			waitLagAbove := func(what string, than float64) (seconds float64) {
				t.Helper()
				eventually(t, what, time.Minute, func(context.Context) error {
					if seconds = w.gauge(t, "projector_lag_seconds"); seconds <= than {
						return fmt.Errorf("%v s", seconds)
					}
					return nil
				})
				return seconds
			}
			first := waitLagAbove("a lag", 3)
			known := w.gauge(t, "projector_lag_known_timestamp_seconds")
			second := waitLagAbove("the lag to grow", first+2)
			waitLagAbove("the lag to grow on", second+2)
			if now := w.gauge(t, "projector_lag_known_timestamp_seconds"); now > known {
				t.Errorf("known at %v, and then at %v, with the server standing still", known, now)
			}
			eventually(t, "it not to be ready", time.Minute, func(ctx context.Context) error {
				if status, _, body, err := get(ctx, "http://"+w.addr+"/readyz", ""); err != nil || status != http.StatusServiceUnavailable {
					return fmt.Errorf("%d, %v: %s", status, err, body)
				}
				return nil
			})
			if lag := w.gauge(t, "projector_lag_seconds"); lag < 15 {
				t.Errorf("not ready, and the lag is %v s", lag)
			}

			network.Resume()
			s.waitProjected(t)
			w.waitReports(t, "ok", calm...)
		})
	}
}

// TestLagOfARefusedStream: a projector that refuses the stream exits, and its metrics are no longer
// served.
func TestLagOfARefusedStream(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.startObserved(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	w.waitReports(t, "ok", "projector_lag_seconds 0\n")
	recreateStream(t, s.nats.URL())
	if status := w.wait(); status != 12 {
		t.Errorf("exit %d: %s", status, w.out.tail(2000))
	}
	if status, _, body, err := get(t.Context(), "http://"+w.addr+"/metrics", ""); err == nil {
		t.Errorf("metrics are still served: %d: %s", status, body)
	}
}

// TestSumsOverReplicas: parked messages and partitions of all replicas add up to the totals, while
// replicas are killed and started and while projecting is paused.
func TestSumsOverReplicas(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first, second := s.startObserved(t), s.startObserved(t)
	s.mustPublish(t, workload.New(183, workload.Config{Accounts: 40, HostileShare: 0.3}), 1000)
	s.waitProjected(t)
	eventually(t, "two to share", time.Minute, s.sharedEvenly(8, 8))
	waitSums := func(when string, replicas ...observed) {
		t.Helper()
		st, err := admin.ReadStatus(t.Context(), s.pool)
		if err != nil || st.Parked < 20 {
			t.Fatalf("%d parked, %v", st.Parked, err)
		}
		eventually(t, when, time.Minute, func(context.Context) error {
			var parked, partitions float64
			for _, w := range replicas {
				if !strings.Contains(w.scrape(t), "\nprojector_parked_events ") {
					return errors.New("a replica has not counted yet")
				}
				parked, partitions = parked+w.gauge(t, "projector_parked_events"), partitions+w.gauge(t, "projector_partitions")
			}
			if parked != float64(st.Parked) || partitions != replicas[0].gauge(t, "projector_stream_partitions") {
				return fmt.Errorf("%v parked of %d, %v partitions of %v", parked, st.Parked, partitions, replicas[0].gauge(t, "projector_stream_partitions"))
			}
			return nil
		})
	}
	waitSums("two replicas", first, second)
	for _, w := range []observed{first, second} {
		if w.gauge(t, "projector_parked_events") == 0 {
			t.Error("one of two replicas counts all")
		}
	}
	second.kill()
	waitSums("one that is left", first)
	s.mustRun(t, 0, "", "pause")
	third := s.startObserved(t)
	third.waitReports(t, "paused since ")
	first.kill()
	st, err := admin.ReadStatus(t.Context(), s.pool)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "who came while paused to count all", time.Minute, func(context.Context) error {
		if n := third.gauge(t, "projector_parked_events"); n != float64(st.Parked) {
			return fmt.Errorf("%v of %d", n, st.Parked)
		}
		return nil
	})
	s.mustRun(t, 0, "", "resume")
	waitSums("it alone", third)
}

// TestMetricsOfTheProjectorPassLint: names, units and help texts of the served metrics follow
// Prometheus's conventions.
func TestMetricsOfTheProjectorPassLint(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.startObserved(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	w.waitReports(t, "ok", "projector_parked_events 0\n", "projector_lag_events 0\n")
	problems, err := promlint.New(bytes.NewReader([]byte(w.scrape(t)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

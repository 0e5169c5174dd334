package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/tcpproxy"
)

// observed is a replica of the projector and the address of its metrics and health checks.
type observed struct {
	*process
	addr string
}

// startObserved starts a replica.
func (s *system) startObserved(t *testing.T) observed {
	t.Helper()
	settings := maps.Clone(s.settings)
	settings["ADMIN_ADDR"] = freeAddr(t)
	return observed{launch(t, "projector", settings, "run"), settings["ADMIN_ADDR"]}
}

// startObservedThrough starts a replica that reaches one of its servers through a proxy.
func (s *system) startObservedThrough(t *testing.T, setting string, network *tcpproxy.Proxy) observed {
	t.Helper()
	other := &system{settings: maps.Clone(s.settings)}
	if setting == "NATS_URL" {
		other.settings[setting] = "nats://" + network.Addr()
	} else {
		other.settings[setting] = s.databaseThrough(t, network)
	}
	return other.startObserved(t)
}

// waitReports waits until the replica reports this readiness and these lines of metrics.
func (w observed) waitReports(t *testing.T, ready string, metrics ...string) {
	t.Helper()
	eventually(t, "a replica to tell "+ready, 20*time.Second, func(ctx context.Context) error {
		for _, path := range []string{"/livez", "/readyz"} {
			status, _, body, err := get(ctx, "http://"+w.addr+path, "")
			if err != nil || status != http.StatusOK || path == "/readyz" && !strings.HasPrefix(string(body), ready) {
				return fmt.Errorf("%s: %d, %v: %s", path, status, err, body)
			}
		}
		return hasMetrics(w.addr, metrics...)(ctx)
	})
}

// gauge is the value of a metric without labels.
func (w observed) gauge(t *testing.T, name string) (value float64) {
	t.Helper()
	_, after, found := strings.Cut(w.scrape(t), "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); err != nil || !found {
		t.Fatalf("%s is not there: %v", name, err)
	}
	return value
}

// scrape is the text of the replica's metrics.
func (w observed) scrape(t *testing.T) string {
	t.Helper()
	_, _, body, err := get(t.Context(), "http://"+w.addr+"/metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// hasMetrics returns a condition for [eventually]: a program's metrics have these lines, or
// beginnings of lines.
func hasMetrics(addr string, lines ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		status, _, body, err := get(ctx, "http://"+addr+"/metrics", "")
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("metrics: status %d, %w", status, err)
		}
		for _, line := range lines {
			if !strings.Contains(string(body), "\n"+line) {
				return fmt.Errorf("%s is missing", line)
			}
		}
		return nil
	}
}

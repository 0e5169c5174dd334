package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// firing are the alerts that fire, as NAME/SEVERITY.
func (p prometheus) firing(ctx context.Context) (names []string, err error) {
	var all struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	err = p.ask(ctx, "alerts", url.Values{}, &all)
	for _, a := range all.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"]+"/"+a.Labels["severity"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// fires waits until these alerts fire; where there are none, until none does.
func (w *watched) fires(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	eventually(t, when, 2*time.Minute, func(ctx context.Context) (err error) {
		got, err = w.prometheus.firing(ctx)
		for _, name := range want {
			if err == nil && !slices.Contains(got, name) {
				err = fmt.Errorf("%v, want %v", got, want)
			}
		}
		if err == nil && len(want) == 0 && len(got) > 0 {
			err = fmt.Errorf("%v, want none", got)
		}
		return err
	})
	t.Logf("%s: %v", when, got)
}

// ends waits until an alert does not fire any more.
func (w *watched) ends(t *testing.T, name string) {
	t.Helper()
	eventually(t, name+" to end", 2*time.Minute, func(ctx context.Context) error {
		got, err := w.prometheus.firing(ctx)
		if err == nil && slices.Contains(got, name) {
			err = fmt.Errorf("%v", got)
		}
		return err
	})
}

// TestAlertsFire: a Prometheus that reads the real programs by the real rules tells what is wrong with
// them, one thing after another, and nothing while nothing is. Each alert has to hold for three
// seconds here; what looks back for longer is still there when the next thing goes wrong.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	if !testrun.Long() {
		t.Skip("at length")
	}
	s := newServer(t, postgres.Options{})
	w := s.watch(t)
	s.waitProjected(t)
	w.fires(t, "nothing is wrong")
	for i := range 101 {
		s.publishRaw(t, events.AccountSubject(uuid(t, another)), fmt.Sprintf(`{"specversion":"1.0","id":"broken-%d"}`, i))
	}
	w.fires(t, "messages are parked", "ProjectorEventsParked/page", "ProjectorEventsParked/ticket")
	s.mustRun(t, 0, "", "parked", "dismiss", "--all", "--note", "a test")
	w.fires(t, "they are dismissed")

	if err := s.pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if status, _, _, err := get(t.Context(), w.exports, w.token); err != nil || status != 503 {
			t.Fatal(status, err)
		}
	}
	w.fires(t, "the database is away", "ApiDatabaseDown/page", "ApiObjectiveBurningFast/page", "ProjectorNotProgressing/page", "RelayBehind/page")
	if err := s.pg.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	for _, name := range []string{"ApiDatabaseDown/page", "ProjectorNotProgressing/page", "RelayBehind/page", "RelayDown/page"} {
		w.ends(t, name)
	}
	s.mustRun(t, 0, "", "pause", "--note", "a test")
	w.fires(t, "it is paused", "ProjectorPaused/ticket")
	s.mustRun(t, 0, "", "resume")
	w.relaying.kill()
	w.fires(t, "the relay is killed", "RelayDown/page")
	recreateStream(t, s.nats.URL())
	w.fires(t, "the projector has refused, and ended", "ProjectorDown/page", "ProjectorPartitionsUnowned/page", "ProjectorRefused/page")
}

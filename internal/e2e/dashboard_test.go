package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/outbox"
)

// quiet are the panels whose queries return nothing while all is right, and why.
var quiet = map[string]string{
	"Alerts that fire":   "a series for each alert that fires",
	"Problems on record": "a series for each problem",
}

// TestDashboardsQueries: every query of the dashboard's panels and variables is one that Prometheus
// takes, and returns something where it has read the real programs: but for those of
// [quiet]. What the first screen says is what is so.
func TestDashboardsQueries(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.watch(t)
	const parked = 3
	for i := range parked {
		s.publishRaw(t, events.AccountSubject(uuid(t, another)), fmt.Sprintf(`{"specversion":"1.0","id":"broken-%d"}`, i))
	}
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxAge = 1000 * time.Hour })

	asked := readDashboard(t)
	missing := slices.Clone(asked)
	eventually(t, "every query to return something", 2*time.Minute, func(ctx context.Context) error {
		if err := w.traffic(ctx); err != nil {
			return fmt.Errorf("%w; still missing: %v", err, missing)
		}
		var err error
		missing = slices.DeleteFunc(missing, func(q panelQuery) bool {
			found, wrong := w.prometheus.query(ctx, q.expr)
			if wrong != nil && ctx.Err() == nil {
				t.Fatalf("%s: %s: %v", q.panel, q.expr, wrong)
			}
			if len(found) > 0 || quiet[q.panel] != "" {
				return true
			}
			err = fmt.Errorf("%s: %s returns nothing", q.panel, q.expr)
			return false
		})
		return err
	})
	t.Logf("%d queries", len(asked))
	if len(asked) < 100 {
		t.Errorf("the dashboard has %d queries", len(asked))
	}

	s.waitProjected(t)
	for panel, want := range map[string]float64{"Projectors": 1, "Lag": 0, "Paused": 0, "Parked events": parked, "Audit differences, 1 d": 0,
		"Stream off contract": 1, "Ledger exported": 0, "APIs": 1, "Database": 1, "Relay: refused": 0} {
		q := asked[slices.IndexFunc(asked, func(q panelQuery) bool { return q.panel == panel })]
		eventually(t, fmt.Sprintf("%s to say %v", panel, want), time.Minute, func(ctx context.Context) error {
			if got, err := w.prometheus.value(ctx, q.expr); err != nil || got != want {
				return fmt.Errorf("%v, %v", got, err)
			}
			return nil
		})
	}
	w.agree(t)
	for _, v := range []struct{ label, of, want string }{{"job", "accountexport_build_info", "api projector relay"}, {"instance", `accountexport_build_info{job=~"api"}`, w.api}} {
		var values []string
		if err := w.prometheus.ask(t.Context(), "label/"+v.label+"/values", url.Values{"match[]": {v.of}}, &values); err != nil || strings.Join(values, " ") != v.want {
			t.Errorf("the variable %s offers %q, %v", v.label, values, err)
		}
	}
}

// watched are all programs that run, with a Prometheus that reads them.
type watched struct {
	*system
	prometheus            prometheus
	projector, api, relay string // where their metrics are
	exports, token        string
	account               events.UUID
	sent, asked           int // events, and exports
	relaying              *process
}

// watch starts projector, API and relay, and Prometheus, and waits until it has read all three.
func (s *system) watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{system: s, projector: s.startObserved(t).addr, api: freeAddr(t), relay: freeAddr(t), account: uuid(t, someone)}
	w.token = mintToken(t, w.account)
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	settings := maps.Clone(s.settings)
	settings["OUTBOX_DATABASE_URL"], settings["ADMIN_ADDR"] = s.database, w.relay
	w.relaying = launch(t, "projector", settings, "relay")
	s.publishComplete(t, w.account)
	w.exports, _ = startAPI(t, map[string]string{"DATABASE_URL": s.database, "ADMIN_ADDR": w.api})
	w.prometheus = startPrometheus(t, w.projector, w.api, w.relay)
	for _, job := range []string{"projector", "api", "relay"} {
		eventually(t, "Prometheus to read "+job, time.Minute, func(ctx context.Context) error {
			if up, err := w.prometheus.value(ctx, `up{job="`+job+`"}`); err != nil || up != 1 {
				return fmt.Errorf("up is %v, %v", up, err)
			}
			return nil
		})
	}
	return w
}

// traffic is an event through the outbox, an export that is served, and one that is not.
func (w *watched) traffic(ctx context.Context) error {
	m, err := events.NewUserProfileUpdated(newMeta(fmt.Sprint("through the outbox ", w.sent)), w.account, events.UserProfileUpdated{Name: events.Some(fmt.Sprint("Name ", w.sent))})
	if err == nil {
		err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return outbox.Write(ctx, tx, m) })
	}
	if err != nil {
		return err
	}
	w.sent++
	for _, token := range []string{w.token, "no token"} {
		if _, _, _, err := get(ctx, w.exports, token); err != nil {
			return err
		}
		w.asked++
	}
	return nil
}

// agree requires that rates and counts on the dashboard add up to what the programs count
// themselves.
func (w *watched) agree(t *testing.T) {
	t.Helper()
	eventually(t, "the API's answers to be those that were asked for", time.Minute, func(ctx context.Context) error {
		sum, err := w.prometheus.value(ctx, `sum(export_requests_total{code=~"200|401"})`)
		if err != nil {
			return err
		}
		if sum < float64(w.asked) || sum > float64(w.asked+20) { // and those until it was there
			return fmt.Errorf("%v answers, %d questions", sum, w.asked)
		}
		return nil
	})
	eventually(t, "all of the relay's events to be projected", time.Minute, func(ctx context.Context) error {
		relayed, err := w.prometheus.value(ctx, `sum(relay_published_total)`)
		if err != nil || relayed != float64(w.sent) {
			return fmt.Errorf("%v of %d published, %v", relayed, w.sent, err)
		}
		folded, err := w.prometheus.value(ctx, `sum(projector_events_total{type="user.profile_updated.v1",outcome="applied"})`)
		if err != nil || folded != float64(w.sent) {
			return fmt.Errorf("%v of %d applied, %v", folded, w.sent, err)
		}
		return nil
	})
}

// panelQuery is a query of a panel, with the values that Grafana would put into it.
type panelQuery struct{ panel, expr string }

// readDashboard reads the queries of all committed dashboards.
func readDashboard(t *testing.T) (all []panelQuery) {
	t.Helper()
	files, err := filepath.Glob("../../deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	values := strings.NewReplacer("$__rate_interval", "30s", "$job", ".*", "$instance", ".*")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				q := panelQuery{p.Title, values.Replace(target.Expr)}
				if strings.Contains(q.expr, "$") {
					t.Errorf("%s: %s has a variable that this test does not know", q.panel, q.expr)
				}
				all = append(all, q)
			}
		}
	}
	return all
}

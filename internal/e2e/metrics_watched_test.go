package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/local/testrun"
	"accountexport/outbox"
)

// ofPrometheus are made by Prometheus itself.
var ofPrometheus = []string{"up", "ALERTS", "scrape_duration_seconds"}

// TestEveryMetricIsWatched: each metric that an alerting rule or a panel asks for is exposed
// by the programs as they run; and each that they expose is asked for, or is in
// deploy/prometheus/unwatched.txt with the reason, and listed by doc/reference.md.
func TestEveryMetricIsWatched(t *testing.T) {
	t.Parallel()
	askedBy := metricsAsked(t)
	why := unwatched(t)
	s := newSystem(t)
	conn, err := pgx.Connect(t.Context(), s.database)
	if err == nil {
		err = outbox.Migrate(t.Context(), conn)
		conn.Close(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	settings := maps.Clone(s.settings)
	settings["OUTBOX_DATABASE_URL"], settings["ADMIN_ADDR"] = s.database, freeAddr(t)
	launch(t, "projector", settings, "relay")
	apiAddr := freeAddr(t)
	startAPI(t, map[string]string{"DATABASE_URL": s.database, "ADMIN_ADDR": apiAddr})
	projector := s.startObserved(t)
	s.publishComplete(t, uuid(t, someone))
	s.waitProjected(t)
	// A metric with labels is exposed once it has a value.
	s.updateStream(t, func(c *jetstream.StreamConfig) { c.MaxAge, c.Discard = 24*time.Hour, jetstream.DiscardOld })

	exposed := map[string]string{} // the type, by name
	eventually(t, "all that is asked for to be exposed", time.Minute, func(ctx context.Context) error {
		for _, addr := range []string{settings["ADMIN_ADDR"], apiAddr, projector.addr} {
			status, _, body, err := get(ctx, "http://"+addr+"/metrics", "")
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("metrics: status %d, %w", status, err)
			}
			for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(string(body), -1) {
				exposed[m[1]] = m[2]
			}
		}
		for name, files := range askedBy {
			if exposed[family(name, exposed)] == "" && !slices.Contains(ofPrometheus, name) {
				return fmt.Errorf("%s, which %q ask for, is not exposed", name, files)
			}
		}
		return nil
	})
	watched := map[string]bool{}
	for name := range askedBy {
		watched[family(name, exposed)] = true
	}
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(exposed)) {
		entry := name
		if why[name] == "" {
			group, _, _ := strings.Cut(name, "_")
			entry = group + "_*"
		}
		switch {
		case watched[name] && why[name] != "":
			t.Errorf("%s is watched: deploy/prometheus/unwatched.txt says that it is not", name)
		case !watched[name] && why[entry] == "":
			t.Errorf("%s is in no rule and no panel: name it in one, or in deploy/prometheus/unwatched.txt with the reason", name)
		}
		used[entry] = true
	}
	for entry := range why {
		if !used[entry] {
			t.Errorf("deploy/prometheus/unwatched.txt names %s, which is not exposed", entry)
		}
	}
	checkReference(t, exposed)
}

// family is the name of the histogram that has a name as one of its series, where there is one.
func family(name string, exposed map[string]string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if of, cut := strings.CutSuffix(name, suffix); cut && (exposed[of] == "histogram" || exposed[of] == "summary") {
			return of
		}
	}
	return name
}

// metricsAsked are the metrics that rules and dashboards ask for, with the files.
func metricsAsked(t *testing.T) map[string][]string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../../deploy/prometheus/rules/*.yml", "../../deploy/grafana/dashboards/*.json"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	tool := testrun.GoTool(t, "../../tools/promtool", "accountexport/tools/promtool/metricnames")
	cmd := exec.CommandContext(t.Context(), tool, files...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("metricnames: %v", err)
	}
	asked := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		file, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		asked[name] = append(asked[name], filepath.Base(file))
	}
	if len(asked) < 20 {
		t.Fatalf("only %d metrics are asked for", len(asked))
	}
	return asked
}

// unwatched reads the list of metrics that nothing asks for: a name, or a group with "_*",
// and the reason. Lines that begin with # are comments.
func unwatched(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/prometheus/unwatched.txt")
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name == "#" {
			continue
		}
		if why[name] = strings.TrimSpace(reason); why[name] == "" {
			t.Errorf("deploy/prometheus/unwatched.txt gives no reason for %s", name)
		}
	}
	return why
}

// checkReference requires that doc/reference.md lists what the programs expose, and that they
// expose what it lists.
func checkReference(t *testing.T, exposed map[string]string) {
	t.Helper()
	reference, err := os.ReadFile("../../doc/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`^(projector|export|accountexport|relay)_`)
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:projector|export|accountexport|relay)_\\w+)[`{]").FindAllStringSubmatch(string(reference), -1) {
		listed[m[1]] = true
	}
	for name := range exposed {
		if own.MatchString(name) && !listed[name] {
			t.Errorf("doc/reference.md does not list %s", name)
		}
	}
	for name := range listed {
		if exposed[name] == "" {
			t.Errorf("doc/reference.md lists %s, which no program exposes", name)
		}
	}
}

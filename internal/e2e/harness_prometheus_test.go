package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
)

// prometheus is a Prometheus server with the settings and rules of deploy/prometheus.
type prometheus struct{ addr string }

// startPrometheus starts one that reads these addresses in place of those of the compose file, and
// every second; alerts have to hold for three seconds.
func startPrometheus(t *testing.T, projector, api, relay string) prometheus {
	t.Helper()
	program := testrun.Tool(t, "prometheus", "apt-get install --no-install-recommends prometheus")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../deploy/prometheus")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	settings, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(scrape|evaluation)_interval: \S+`).ReplaceAllString(string(settings), "${1}_interval: 1s")
	for old, fresh := range map[string]string{
		`"projector:9091"`: strconv.Quote(projector),
		`"api:9092"`:       strconv.Quote(api),
		"dns_sd_configs: [{ names: [relay], type: A, port: 9091 }]": fmt.Sprintf("static_configs: [{ targets: [%q] }]", relay),
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("deploy/prometheus/prometheus.yml has %q %d times, and this test is for once", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, fresh, 1)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "rules", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		rules, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, regexp.MustCompile(`(?m)^( +for:) \S+$`).ReplaceAll(rules, []byte("$1 3s")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := prometheus{freeAddr(t)}
	launchFile(t, program, nil, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr, "--log.level=warn")
	eventually(t, "Prometheus", time.Minute, func(ctx context.Context) error {
		status, _, body, err := get(ctx, "http://"+p.addr+"/-/ready", "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d: %s", status, body)
		}
		return err
	})
	return p
}

// series is what a query has returned: labels, and the last value that is a number.
type series struct {
	Metric map[string]string
	Values [][2]any
	last   float64
}

// query asks for the last half minute, and returns the series that have a number in it.
func (p prometheus) query(ctx context.Context, expr string) (found []series, err error) {
	now := time.Now()
	var all struct{ Result []series }
	err = p.ask(ctx, "query_range", url.Values{"query": {expr}, "step": {"1"},
		"start": {fmt.Sprint(now.Add(-30 * time.Second).Unix())}, "end": {fmt.Sprint(now.Unix())}}, &all)
	for _, s := range all.Result {
		s.last = math.NaN()
		for _, v := range s.Values {
			text, _ := v[1].(string)
			if number, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(number) {
				s.last = number
			}
		}
		if !math.IsNaN(s.last) {
			found = append(found, s)
		}
	}
	return found, err
}

// value asks for a query of one series, and returns its last value.
func (p prometheus) value(ctx context.Context, expr string) (float64, error) {
	found, err := p.query(ctx, expr)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s: %d series", expr, len(found))
	}
	if err != nil {
		return 0, err
	}
	return found[0].last, nil
}

// ask asks Prometheus's API.
func (p prometheus) ask(ctx context.Context, what string, with url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/api/v1/"+what+"?"+with.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Warnings      []string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s %v: %w: %.300s", what, with, err, body)
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return errors.New(answer.Error + strings.Join(answer.Warnings, ", "))
	}
	return json.Unmarshal(answer.Data, into)
}

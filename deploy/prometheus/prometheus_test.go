// Package prometheus_test holds the alerting rules against their unit tests, by promtool.
// That the programs expose what the rules ask for is tested in internal/e2e.
package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
)

// rule is an alerting or a recording rule.
type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

// ruleTest is what a rule's unit test expects at a time.
type ruleTest struct {
	Alertname string
	ExpAlerts []struct {
		Labels map[string]string `yaml:"exp_labels"`
	} `yaml:"exp_alerts"`
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// alerts are those of the rules here.
func alerts(t *testing.T) []rule { return read(t, "rules/*.yml") }

func read(t *testing.T, pattern string) (all []rule) {
	t.Helper()
	for _, file := range glob(t, pattern) {
		var rules struct {
			Groups []struct{ Rules []rule }
		}
		parse(t, file, &rules)
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					all = append(all, r)
				}
			}
		}
	}
	if len(all) < 23 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	return all
}

// promtool is that of this machine, such as Debian's, where there is one: to build it takes
// minutes the first time. Without one, and always at length, it is built from the module
// tools/promtool: without the clients of clouds that Prometheus can look for targets in,
// but for that of DNS, which prometheus.yml uses; all of them would take many times as long.
func promtool(t *testing.T) string {
	t.Helper()
	if installed, err := exec.LookPath("promtool"); err == nil && !testrun.Long() {
		return installed
	}
	return testrun.GoTool(t, "../../tools/promtool", "github.com/prometheus/prometheus/cmd/promtool", "remove_all_sd", "enable_dns_sd")
}

// TestRules: promtool finds nothing wrong with rules and configuration, and every unit
// test of the rules passes.
func TestRules(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	for _, args := range [][]string{
		append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, glob(t, "rules/*.yml")...),
		{"check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"},
		append([]string{"test", "rules"}, glob(t, "tests/*.yml")...),
	} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, out)
		}
	}
}

// TestEveryAlertIsWhole: each alert says how urgent it is, what it means with its value,
// and where the runbook has it; and has unit tests in which it fires, and in which it
// does not.
func TestEveryAlertIsWhole(t *testing.T) {
	t.Parallel()
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, file := range glob(t, "tests/*.yml") {
		var tests struct {
			Tests []struct {
				Tests []ruleTest `yaml:"alert_rule_test"`
			}
		}
		parse(t, file, &tests)
		for _, group := range tests.Tests {
			for _, test := range group.Tests {
				for _, a := range test.ExpAlerts {
					fires[key(test.Alertname, a.Labels)] = true
				}
				if len(test.ExpAlerts) == 0 {
					silent[test.Alertname] = true
				}
			}
		}
	}
	for _, r := range alerts(t) {
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q: page or ticket", r.Alert, s)
		}
		if want := "https://runbook.invalid/doc/runbook.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s has the runbook %s, want %s", r.Alert, r.Annotations["runbook_url"], want)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary, or no description", r.Alert)
		}
		if !strings.Contains(r.Annotations["summary"]+r.Annotations["description"], "$value") && !strings.HasPrefix(r.Expr, "up{") {
			t.Errorf("%s does not tell its value", r.Alert)
		}
		if !fires[key(r.Alert, r.Labels)] || !silent[r.Alert] {
			t.Errorf("%s: a unit test in which it fires: %v, and one in which it does not: %v", key(r.Alert, r.Labels), fires[key(r.Alert, r.Labels)], silent[r.Alert])
		}
	}
}

// TestRunbookAddressIsReplaced: the command of doc/operating.md has every alert lead to the
// place that it names.
func TestRunbookAddressIsReplaced(t *testing.T) {
	t.Parallel()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy", "prometheus", "rules"), os.DirFS("rules")); err != nil {
		t.Fatal(err)
	}
	followed := 0
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path != "doc/operating.md" || !slices.Contains(b.RunBy, t.Name()) {
				continue
			}
			followed++
			cmd := exec.CommandContext(t.Context(), "sh", "-euc", b.Text)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", b.At(), err, out)
			}
		}
	}
	if followed != 1 {
		t.Errorf("%d blocks were followed, want 1", followed)
	}
	for _, r := range read(t, filepath.Join(dir, "deploy", "prometheus", "rules", "*.yml")) {
		if url := r.Annotations["runbook_url"]; !strings.HasPrefix(url, "https://git.example.org/accountexport/blob/main/doc/runbook.md#") {
			t.Errorf("%s leads to %s", r.Alert, url)
		}
	}
}

// key tells rules of one name apart.
func key(alert string, labels map[string]string) string {
	return fmt.Sprint(alert, " ", labels["severity"], " ", labels["window"])
}

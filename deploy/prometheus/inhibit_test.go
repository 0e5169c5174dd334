package prometheus_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestInhibitionsAreOfAlerts: what Alertmanager is told names alerts that there are, a page that is
// there hides others and never itself, and an alert that hides others is hidden by none that it hides.
func TestInhibitionsAreOfAlerts(t *testing.T) {
	t.Parallel()
	pages, all := map[string]bool{}, map[string]bool{}
	for _, r := range alerts(t) {
		all[r.Alert] = true
		pages[r.Alert] = pages[r.Alert] || r.Labels["severity"] == "page"
	}
	var config struct {
		Rules []struct {
			Sources []string `yaml:"source_matchers"`
			Targets []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	parse(t, "inhibit.yml", &config)
	if len(config.Rules) < 5 {
		t.Fatalf("inhibit.yml has %d rules", len(config.Rules))
	}
	matcher := regexp.MustCompile(`^alertname (?:= (\w+)|=~ "([\w|]+)")$`)
	named := func(s string) []string {
		m := matcher.FindStringSubmatch(s)
		if m == nil {
			t.Fatalf("inhibit.yml: %q is no matcher of alerts' names", s)
		}
		return strings.Split(m[1]+m[2], "|")
	}
	hides := map[string][]string{}
	for _, r := range config.Rules {
		if len(r.Sources) != 2 || r.Sources[1] != "severity = page" || len(r.Targets) != 1 {
			t.Fatalf("inhibit.yml: %v hides %v, want one alert of severity page that hides alerts by their names", r.Sources, r.Targets)
		}
		source, targets := named(r.Sources[0])[0], named(r.Targets[0])
		if !pages[source] {
			t.Errorf("inhibit.yml: %s pages nobody", source)
		}
		for _, target := range targets {
			if !all[target] || target == source || slices.Contains(hides[target], source) {
				t.Errorf("inhibit.yml: %s hides %s, which is no alert, itself, or hides it, too", source, target)
			}
		}
		hides[source] = append(hides[source], targets...)
	}
}

package accountexport_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"accountexport/internal/local/documents"
)

// alertRule is what the runbook has to do with an alert.
type alertRule struct {
	severity string
	runbook  string // runbook_url
}

// alertRules reads the alerts of Prometheus' rules in a folder. Where rules of one alert differ in
// severity, the alert has the most urgent one.
func alertRules(folder string) (map[string]alertRule, error) {
	all := map[string]alertRule{}
	files, err := filepath.Glob(filepath.Join(folder, "*.y*ml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var rules struct {
			Groups []struct {
				Rules []struct {
					Alert       string            `yaml:"alert"`
					Labels      map[string]string `yaml:"labels"`
					Annotations map[string]string `yaml:"annotations"`
				} `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal(b, &rules); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Alert == "" {
					continue // it records
				}
				rule := alertRule{r.Labels["severity"], r.Annotations["runbook_url"]}
				if before, there := all[r.Alert]; there {
					if before.runbook != rule.runbook {
						return nil, fmt.Errorf("%s: %s is there twice, with %v and %v", file, r.Alert, before, rule)
					}
					rule.severity = min(rule.severity, before.severity) // "page" is before "ticket"
				}
				all[r.Alert] = rule
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no alert", folder)
	}
	return all, nil
}

// exitStatuses are those of cmd/projector: what every program has, and its refusals.
func exitStatuses(t *testing.T) (all []int) {
	t.Helper()
	all = []int{0, 1, 2}
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{\w+\.Err\w+, (\d+), "\w+", .*\},$`).FindAllStringSubmatch(read(t, "internal/findings/exit.go"), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if len(all) < 10 {
		t.Fatalf("internal/findings/exit.go has only the statuses %v", all)
	}
	return all
}

// runbook is the document, and its entries by their headings.
func runbook(t *testing.T) (documents.Document, map[string]documents.Entry) {
	t.Helper()
	all := manuals(t)
	i := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == documents.Runbook })
	if i < 0 {
		t.Fatalf("there is no %s", documents.Runbook)
	}
	entries, err := all[i].Entries()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]documents.Entry{}
	for _, e := range entries {
		if _, twice := named[e.Heading]; twice {
			t.Errorf("%s:%d: %q is there twice", documents.Runbook, e.Line, e.Heading)
		}
		named[e.Heading] = e
	}
	return all[i], named
}

// TestRunbookIsComplete: its entries are the alerts and the exit statuses, no more and no fewer;
// each says who suffers, how to look, how to mend it, and how to know that it is over, the
// second and the last with commands; and its first table has each alert, with the severity of its rule and a link.
func TestRunbookIsComplete(t *testing.T) {
	d, entries := runbook(t)
	rules, err := alertRules("deploy/prometheus/rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range runbookFaults(d, entries, rules, exitStatuses(t)) {
		t.Error(fault)
	}
}

func runbookFaults(d documents.Document, entries map[string]documents.Entry, rules map[string]alertRule, statuses []int) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, documents.Runbook+": "+fmt.Sprintf(format, args...))
	}
	wanted := map[string]bool{documents.RunbookFirst: true}
	for name, rule := range rules {
		wanted[name] = true
		anchor := strings.ToLower(name)
		row := regexp.MustCompile(`(?m)^\| \[` + name + `\]\(#` + anchor + `\) \| (page|ticket) \| [^|]+ \|$`).FindStringSubmatch(d.Text)
		switch {
		case row == nil:
			fault("its table has no row | [%s](#%s) | page or ticket | who suffers |", name, anchor)
		case rule.severity != "" && row[1] != rule.severity:
			fault("%s is %s in its table, and %s by its rule", name, row[1], rule.severity)
		}
		if rule.severity != "" && !strings.HasSuffix(rule.runbook, "/"+documents.Runbook+"#"+anchor) {
			fault("the runbook_url of %s is %q, and has to end in %s#%s", name, rule.runbook, documents.Runbook, anchor)
		}
	}
	for _, status := range statuses {
		found := slices.DeleteFunc(slices.Collect(maps.Keys(entries)), func(heading string) bool { return !strings.HasPrefix(heading, fmt.Sprintf("Exit %d: ", status)) })
		if len(found) != 1 {
			fault("exit status %d has the entries %q, and has to have one, ### Exit %[1]d: …", status, found)
			continue
		}
		wanted[found[0]] = true
	}
	for heading := range wanted {
		e, there := entries[heading]
		if !there {
			fault("%s has no entry", heading)
		}
		if !there || heading == documents.RunbookFirst {
			continue
		}
		for _, part := range []string{"Who suffers", "Look", "Mend", "Over"} {
			p, there := e.Parts[part]
			if !there || len(p.Steps) == 0 && (part == "Look" || part == "Over") {
				fault("line %d: %s has no **%s.**, or none with the commands that it needs", e.Line, heading, part)
			}
		}
		if look := e.Parts["Look"].Steps; !slices.ContainsFunc(look, func(s documents.Step) bool { return len(s.Prints) > 0 }) {
			fault("line %d: **Look.** of %s promises nothing that would be seen", e.Line, heading)
		}
	}
	for heading, e := range entries {
		if !wanted[heading] {
			fault("line %d: %s is no alert of the rules and no exit status", e.Line, heading)
		}
	}
	return faults
}

// TestIncompleteRunbooksAreFound: what TestRunbookIsComplete would say of runbooks that lack something.
func TestIncompleteRunbooksAreFound(t *testing.T) {
	sound := strings.ReplaceAll("| [A](#a) | page | all |\n\n### "+documents.RunbookFirst+"\n\n### A\n\nPARTS\n\n### Exit 1: b\n\nPARTS\n", "PARTS",
		"**Who suffers.** All.\n\n**Look.**\n\n```sh\nx\n```\n\n```\ny\n```\n\n**Mend.**\n\n```sh\nx\n```\n\n**Over.**\n\n```sh\nx\n```\n")
	rules := map[string]alertRule{"A": {"page", "https://example.org/doc/runbook.md#a"}}
	faults := func(text string, rules map[string]alertRule) []string {
		d := documents.Document{Path: documents.Runbook, Text: text}
		entries, err := d.Entries()
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]documents.Entry{}
		for _, e := range entries {
			named[e.Heading] = e
		}
		return runbookFaults(d, named, rules, []int{1})
	}
	if found := faults(sound, rules); len(found) > 0 {
		t.Errorf("a sound one: %q", found)
	}
	for from, to := range map[string]string{"| page |": "| ticket |", "(#a)": "(#b)", "### A": "### B", "### Exit 1:": "### Exit 2:", "**Over.**": "**End.**",
		"```\ny\n```\n": "", "### " + documents.RunbookFirst: "## x"} {
		if len(faults(strings.Replace(sound, from, to, 1), rules)) == 0 {
			t.Errorf("nothing is said where %q is %q", from, to)
		}
	}
	if len(faults(sound, map[string]alertRule{"A": {"page", "https://example.org/runbook#a"}})) == 0 {
		t.Error("nothing is said of a URL that leads elsewhere")
	}
}

// TestAlertRulesAreRead: rules that record are left out, and a folder without alerts is an error.
func TestAlertRulesAreRead(t *testing.T) {
	folder := t.TempDir()
	if _, err := alertRules(folder); err == nil {
		t.Error("a folder without rules is read")
	}
	if err := os.WriteFile(filepath.Join(folder, "a.yml"), []byte(`
groups:
- name: g
  rules:
  - {record: "a:b", expr: "1"}
  - {alert: A, expr: "up == 0", labels: {severity: page}, annotations: {runbook_url: u}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := alertRules(folder)
	if want := (alertRule{"page", "u"}); err != nil || len(got) != 1 || got["A"] != want {
		t.Errorf("%v, %v", got, err)
	}
}

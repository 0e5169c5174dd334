// Command metricnames prints the names of the metrics that files of alerting rules and
// Grafana dashboards ask for, a line each, with the file: "rules/api.yml up". What a
// recording rule makes is not printed, since no program exposes it; nor is a name that an
// expression matches by a pattern, which is an error instead.
//
// It is here, and not beside the tests that use it, for the parser of queries, which the
// project itself does not depend on.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "metricnames:", err)
		os.Exit(1)
	}
}

func run(files []string) error {
	if len(files) == 0 {
		return errors.New("which files? Give those of rules (.yml) and dashboards (.json)")
	}
	expressions, recorded := map[string][]string{}, map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.HasSuffix(file, ".json") {
			expressions[file], err = ofDashboard(b)
		} else {
			expressions[file], err = ofRules(b, recorded)
		}
		if err == nil && len(expressions[file]) == 0 {
			err = errors.New("it has no expression")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(expressions)) {
		names := map[string]bool{}
		for _, text := range expressions[file] {
			if err := collect(text, names); err != nil {
				return fmt.Errorf("%s: %s: %w", file, text, err)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !recorded[name] {
				fmt.Println(file, name)
			}
		}
	}
	return nil
}

// ofRules returns the expressions of a file of rules, and notes what they record.
func ofRules(b []byte, recorded map[string]bool) (expressions []string, err error) {
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Expr string }
		}
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			expressions = append(expressions, r.Expr)
			if r.Record != "" {
				recorded[r.Record] = true
			}
		}
	}
	return expressions, nil
}

// variables of Grafana that stand for a time; it has others, within label values.
var variables = regexp.MustCompile(`\$(__rate_interval|__interval|__range|\{__rate_interval\}|\{__interval\}|\{__range\})`)

// ofDashboard returns the texts that a dashboard has at a key expr, or where it asks for
// the values of a label, at whatever depth.
func ofDashboard(b []byte) (expressions []string, err error) {
	var dashboard any
	if err := json.Unmarshal(b, &dashboard); err != nil {
		return nil, err
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				if text, ok := e.(string); ok && k == "expr" && text != "" {
					expressions = append(expressions, variables.ReplaceAllString(text, "5m"))
				}
				walk(e)
			}
		}
	}
	walk(dashboard)
	return expressions, nil
}

// collect adds the names that an expression asks for.
func collect(text string, names map[string]bool) error {
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return err
	}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := selector.Name
		for _, m := range selector.LabelMatchers {
			if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
				name = m.Value
			}
		}
		if name == "" {
			err = errors.New("it asks for metrics by something other than their name")
		}
		names[name] = true
		return nil
	})
	return err
}

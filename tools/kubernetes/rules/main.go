// Command rules makes a PrometheusRule of prometheus-operator from rules of Prometheus: all groups of
// the files that are named, in that order.
//
//	go run ./rules FILE… > prometheusrule.yaml
package main

import (
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

func main() {
	if err := convert(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// rule is a PrometheusRule. Groups stay as they are written.
type rule struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Spec struct{ Groups []yaml.Node }
}

func convert(files []string, out io.Writer) error {
	r := rule{APIVersion: "monitoring.coreos.com/v1", Kind: "PrometheusRule"}
	r.Metadata.Name, r.Metadata.Labels = "accountexport", map[string]string{"app.kubernetes.io/part-of": "accountexport"}
	r.Spec.Groups = []yaml.Node{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var of struct{ Groups []yaml.Node }
		if err := yaml.Unmarshal(b, &of); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if len(of.Groups) == 0 {
			return fmt.Errorf("%s has no groups", file)
		}
		r.Spec.Groups = append(r.Spec.Groups, of.Groups...)
	}
	if _, err := io.WriteString(out, "# Made from deploy/prometheus/rules by `make kubernetes-rules`.\n"); err != nil {
		return err
	}
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(r); err != nil {
		return err
	}
	return e.Close()
}

package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryProblemIsDocumented: doc/api.md lists exactly the problem types that
// exist, with their statuses.
func TestEveryProblemIsDocumented(t *testing.T) {
	t.Parallel()
	collect := func(file, pattern string) (all []string) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile(pattern)
		for _, m := range named.FindAllSubmatch(b, -1) {
			text := map[string]string{}
			for i, name := range named.SubexpNames() {
				text[name] = string(m[i])
			}
			all = append(all, text["status"]+" "+text["type"])
		}
		slices.Sort(all)
		return all
	}
	are := collect("problem.go", `problemType \+ "(?P<type>[a-z-]+)", Title: "[^"]*", Status: (?P<status>\d+)`)
	said := collect("../../doc/api.md", "(?m)^\\| (?P<status>\\d+) \\| `(?P<type>[a-z-]+)` \\|")
	if diff := cmp.Diff(are, said); diff != "" || len(are) < 20 {
		t.Errorf("of %d problems doc/api.md lists others (-are +said): %s", len(are), diff)
	}
}

// TestEveryHeaderIsDocumented: doc/api.md names each response header of the API's
// description.
func TestEveryHeaderIsDocumented(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../doc/api.md")
	if err != nil {
		t.Fatal(err)
	}
	type answer struct{ Headers map[string]any }
	var described struct {
		Paths map[string]map[string]struct {
			Responses map[string]answer
		}
		Components struct{ Responses map[string]answer }
	}
	if err := json.Unmarshal(b, &described); err != nil {
		t.Fatal(err)
	}
	answers := slices.Collect(maps.Values(described.Components.Responses))
	for _, methods := range described.Paths {
		for _, m := range methods {
			answers = slices.AppendSeq(answers, maps.Values(m.Responses))
		}
	}
	found := map[string]bool{}
	for _, a := range answers {
		for name := range a.Headers {
			found[name] = true
		}
	}
	for name := range found {
		if !bytes.Contains(manual, []byte("`"+name+"`")) && !bytes.Contains(manual, []byte("`"+name+": ")) {
			t.Errorf("doc/api.md does not name %s", name)
		}
	}
	if len(found) < 15 {
		t.Errorf("only %d headers were found", len(found))
	}
}

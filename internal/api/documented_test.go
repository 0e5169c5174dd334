package api

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryProblemIsDocumented: doc/api.md lists the types of problems that there
// are, with their statuses, and no others.
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

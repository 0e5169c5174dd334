package api

import (
	"go/constant"
	"go/types"
	"testing"

	"golang.org/x/tools/go/packages"

	"accountexport/readmodel/export"
)

// TestEveryErrorKindHasAProblem: each constant of [export.ErrorKind] has a problem of
// its own, with status 503 and a reason to be counted under.
func TestEveryErrorKindHasAProblem(t *testing.T) {
	t.Parallel()
	pkgs, err := packages.Load(&packages.Config{Mode: packages.LoadTypes},
		"accountexport/readmodel/export")
	if err != nil {
		t.Fatal(err)
	}
	scope := pkgs[0].Types.Scope()
	of := scope.Lookup("ErrorKind").Type()
	kinds := 0
	answers := map[*problem]string{}
	for _, name := range scope.Names() {
		c, ok := scope.Lookup(name).(*types.Const)
		if !ok || c.Type() != of {
			continue
		}
		kinds++
		value, _ := constant.Uint64Val(c.Val())
		p := problemsByKind[export.ErrorKind(value)]
		switch {
		case p == nil:
			t.Errorf("export.%s has no problem: give it a row in problemsByKind", name)
		case p.Status != 503 || p.reason == reasonNone:
			t.Errorf("export.%s is answered %d with reason %q, want 503 and a reason", name, p.Status, p.reason)
		case answers[p] != "":
			t.Errorf("export.%s and export.%s have the same problem", name, answers[p])
		}
		answers[p] = name
	}
	if kinds == 0 || kinds != len(problemsByKind) {
		t.Errorf("%d kinds, and %d of them in problemsByKind", kinds, len(problemsByKind))
	}
}

package browser

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"accountexport/internal/local/testrun"
)

//go:embed testdata/axe/package.json testdata/axe/package-lock.json
var axePackage embed.FS

// axe is axe-core's script, of exactly the version that testdata/axe/package-lock.json
// names: npm downloads it once for all tests of a program, and none of its scripts is run.
var axe struct {
	once   sync.Once
	script string
	err    error
}

func axeScript(t *testing.T) string {
	t.Helper()
	npm := testrun.Tool(t, "npm", "apt-get install npm")
	axe.once.Do(func() {
		dir, err := os.MkdirTemp("", "axe")
		if err != nil {
			axe.err = err
			return
		}
		defer os.RemoveAll(dir)
		if axe.err = os.CopyFS(dir, axePackage); axe.err != nil {
			return
		}
		cmd := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		in := filepath.Join(dir, "testdata", "axe")
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			axe.err = fmt.Errorf("npm ci: %w: %s", err, out)
			return
		}
		script, err := os.ReadFile(filepath.Join(in, "node_modules", "axe-core", "axe.min.js"))
		axe.script, axe.err = string(script), err
	})
	if axe.err != nil {
		t.Log(axe.err)
		testrun.Missing(t, "npm's registry", "npm ci, in internal/local/browser/testdata/axe, with a network")
	}
	return axe.script
}

// Violation is what axe-core has against a page.
type Violation struct {
	Rule, Help string
	Where      []string // the elements, and what is wrong with each
}

func (v Violation) String() string {
	return fmt.Sprintf("%s (%s): %q", v.Rule, v.Help, v.Where)
}

// Violations are what axe-core finds in the page as it is, by the rules of WCAG 2.2, A and
// AA, and by its best practices, or by the named rules alone. folder is testdata/axe of this package.
func (b *Browser) Violations(t *testing.T, rules ...string) []Violation {
	t.Helper()
	script := axeScript(t)
	if !Evaluate[bool](t, b, `typeof axe === "object"`) {
		Evaluate[bool](t, b, script+"; true")
	}
	only := []byte(`{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`)
	if len(rules) > 0 {
		names, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		only = fmt.Appendf(nil, `{type: "rule", values: %s}`, names)
	}
	found := Evaluate[struct {
		Passed int
		Found  []Violation
	}](t, b, fmt.Sprintf(`axe.run(document, {runOnly: %s, resultTypes: ["violations"], preload: false}).then((r) => ({Passed: r.passes.length,
Found: r.violations.map((v) => ({Rule: v.id, Help: v.help, Where: v.nodes.slice(0, 5).map((n) => n.html.slice(0, 300) + ": " + n.failureSummary)}))}))`, only))
	if found.Passed == 0 {
		t.Fatal("axe-core has checked nothing")
	}
	return found.Found
}

package testrun

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// GoTool builds a program of a module that is not the project's own, such as those below
// tools, and returns its path. What was compiled once is in the go command's cache.
// Where the modules cannot be downloaded, the test is skipped, or fails where CI is set;
// any other reason is a failure.
func GoTool(t testing.TB, module, pkg string, tags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-mod=readonly", "-tags="+strings.Join(tags, ","), "-o", program, pkg)
	cmd.Dir = module
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return program
	case unreachable(string(out)):
		t.Log(string(out))
		Missing(t, "the modules of "+filepath.Base(module), "go mod download, in "+filepath.Base(module)+", with a network")
	}
	t.Fatalf("go build %s, in %s: %v\n%s", pkg, module, err, out)
	return ""
}

// unreachable reports whether the go command says that it could not ask for a module.
func unreachable(out string) bool {
	for _, said := range []string{"dial tcp", "no such host", "i/o timeout", "module lookup disabled by GOPROXY=off", "connection refused"} {
		if strings.Contains(out, said) {
			return true
		}
	}
	return false
}

package schemas_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"accountexport/internal/local/testrun"
	"accountexport/schemas"
)

// tools is a folder with what testdata/npm/package-lock.json names, exactly that,
// of which no script has run; all tests use the same one.
var tools struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(tools.dir) // what is left of it is in a folder for such
	os.Exit(code)
}

func npm(t *testing.T) string {
	t.Helper()
	program := testrun.Tool(t, "npm", "apt-get install npm")
	tools.once.Do(func() {
		if tools.dir, tools.err = os.MkdirTemp("", "schemas"); tools.err != nil {
			return
		}
		if tools.err = os.CopyFS(tools.dir, os.DirFS(filepath.Join("testdata", "npm"))); tools.err != nil {
			return
		}
		out, err := in(t, tools.dir, nil, program, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		if err != nil {
			tools.err = fmt.Errorf("npm ci: %w: %s", err, out)
		}
	})
	if tools.err != nil {
		t.Log(tools.err)
		testrun.Missing(t, "npm's registry", "npm ci, in schemas/testdata/npm, with a network")
	}
	return tools.dir
}

// servedFiles are the files of this package that the API serves.
func servedFiles(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("events/*.json")
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return append(list, "index.json", "document.json", "accountexport.d.ts")
}

// in runs a program in the folder, and returns what it prints; with an error, what
// it says too.
func in(t *testing.T, dir string, stdin []byte, program string, args ...string) (string, error) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(stdin), &out, &said
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if err := cmd.Run(); err != nil {
		return out.String() + said.String(), err
	}
	return out.String(), nil
}

// TestTypesCompile: what the events and the document are is accepted by TypeScript,
// strictly, and what they are not is refused.
func TestTypesCompile(t *testing.T) {
	t.Parallel()
	tsc, dir := filepath.Join(npm(t), "node_modules", ".bin", "tsc"), t.TempDir()
	put := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"types.mts", "tsconfig.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "npm", name))
		if err != nil {
			t.Fatal(err)
		}
		put(name, text)
	}
	types := schemas.TypeScript()
	put("accountexport.d.ts", types)
	if out, err := in(t, dir, nil, tsc, "-p", "tsconfig.json"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// With looser types the errors that are expected are missing, and that is one.
	loose := bytes.Replace(types, []byte("  email: string;"), []byte("  email?: string;"), 1)
	if bytes.Equal(types, loose) {
		t.Fatal("no e-mail address in the types")
	}
	put("accountexport.d.ts", loose)
	if out, err := in(t, dir, nil, tsc, "-p", "tsconfig.json"); err == nil {
		t.Errorf("tsc finds nothing in types that are looser: %s", out)
	}
}

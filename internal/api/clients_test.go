package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// codegen is a tool of its own, outside go.mod.
const codegen = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

// workplace copies a folder of testdata/openapi, without its subfolders, and adds the
// description.
func workplace(t *testing.T, folder string) string {
	t.Helper()
	from, dir := filepath.Join("testdata", "openapi", folder), t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"openapi.json": openAPI}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(from, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runIn runs a program in the folder and returns its standard output and standard error.
func runIn(t *testing.T, dir, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errOut
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1", "GOFLAGS=-mod=mod", "GOWORK=off")
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// mustRunIn is runIn for a program that has to succeed.
func mustRunIn(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, stderr, err := runIn(t, dir, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr)
	}
	return out
}

// npm returns a folder with exactly the tools of testdata/openapi/package-lock.json,
// installed without running their scripts.
func npm(t *testing.T) string {
	t.Helper()
	program := testrun.Tool(t, "npm", "apt-get install npm")
	dir := workplace(t, ".")
	if out, stderr, err := runIn(t, dir, program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		t.Logf("npm ci: %v\n%s%s", err, out, stderr)
		testrun.Missing(t, "npm's registry", "npm ci, in internal/api/testdata/openapi, with a network")
	}
	return dir
}

func tool(dir, name string) string { return filepath.Join(dir, "node_modules", ".bin", name) }

// wantPrinted is what the clients, which accept compressed answers, have to print for three
// tokens.
const wantPrinted = "200 a@example.com 1 pending null 0.5 0 W/\"1.0-77-3\"\n" +
	"503 urn:account-export:problem:account-incomplete team 5\n" +
	"401 urn:account-export:problem:invalid-token  null\n"

// served starts a real API and returns the arguments with which the clients call it.
func served(t *testing.T) (args []string) {
	t.Helper()
	pool := database(t)
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = 77`); err != nil {
		t.Fatal(err)
	}
	exports, waits := export.NewReader(pool), export.NewWaiter(pool, slog.New(slog.DiscardHandler))
	go func() { _ = waits.Run(t.Context()) }()
	a := startWith(t, exports, sharedVerifier(t), func(c *Config) { c.Waiter = waits })
	return []string{a.url, strings.TrimPrefix(bearer(t, complete), "Bearer "), strings.TrimPrefix(bearer(t, incomplete), "Bearer "), "no-token"}
}

// TestDescriptionIsClean: two linters report nothing, and the client that TypeScript
// generates from the description compiles in strict mode and fetches documents.
func TestDescriptionIsClean(t *testing.T) {
	t.Parallel()
	dir := npm(t)
	var found struct {
		Totals   struct{ Errors, Warnings, Ignored int }
		Problems []json.RawMessage
	}
	out := mustRunIn(t, dir, tool(dir, "redocly"), "lint", "--config=redocly.yaml", "--format=json", "openapi.json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || found.Totals.Errors+found.Totals.Warnings+found.Totals.Ignored > 0 {
		t.Errorf("redocly: %v\n%s", err, out)
	}
	mustRunIn(t, dir, tool(dir, "spectral"), "lint", "--ruleset=spectral.yaml", "--fail-severity=hint", "openapi.json")
	// Both linters can fail.
	bad := strings.Replace(string(openAPI), `"tags": [`, `"tagged": [`, 2)
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, lint := range [][]string{{"redocly", "lint", "--config=redocly.yaml", "bad.json"}, {"spectral", "lint", "--ruleset=spectral.yaml", "--fail-severity=hint", "bad.json"}} {
		if out, stderr, err := runIn(t, dir, tool(dir, lint[0]), lint[1:]...); err == nil {
			t.Errorf("%s finds nothing in what is wrong: %s%s", lint[0], out, stderr)
		}
	}

	mustRunIn(t, dir, tool(dir, "openapi-typescript"), "openapi.json", "-o", "description.d.ts")
	mustRunIn(t, dir, tool(dir, "tsc"), "-p", "tsconfig.json")
	if got := mustRunIn(t, dir, "node", append([]string{"client.mjs"}, served(t)...)...); got != wantPrinted {
		t.Errorf("the client in TypeScript prints\n%s, want\n%s", got, wantPrinted)
	}
}

// TestGoClient: the client generated from the description compiles and fetches
// documents.
func TestGoClient(t *testing.T) {
	t.Parallel()
	dir := workplace(t, "goclient")
	if out, stderr, err := runIn(t, dir, "go", "run", codegen, "-generate", "types,client", "-package", "main", "-o", "client.gen.go", "openapi.json"); err != nil {
		if strings.Contains(stderr, "dial tcp") { // of the module proxy
			t.Log(out, stderr)
			testrun.Missing(t, "the generator of Go clients", "go run "+codegen)
		}
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
	mustRunIn(t, dir, "go", "vet", ".")
	if got := mustRunIn(t, dir, "go", append([]string{"run", "."}, served(t)...)...); got != wantPrinted {
		t.Errorf("the client in Go prints\n%s, want\n%s", got, wantPrinted)
	}
}

// TestEveryFieldIsExplained: each field has a description, which names the unit of a
// number; an object with arbitrary members is typed as one.
func TestEveryFieldIsExplained(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	units := []string{"number of", "gigabyte-hours", "sequence", "status"}
	fields := 0
	for name, schema := range doc.Components.Schemas {
		if schema.Value.Description == "" {
			t.Errorf("%s is not described", name)
		}
		for field, p := range schema.Value.Properties {
			fields++
			text := p.Value.Description // of the schema it refers to, where it has none itself
			number := p.Value.Type.Includes("integer") || p.Value.Type.Includes("number")
			unit := false
			for _, u := range units {
				unit = unit || strings.Contains(text, u)
			}
			if text == "" || number && !unit {
				t.Errorf("%s.%s is described as %q", name, field, text)
			}
			if more := p.Value.AdditionalProperties; p.Value.Type.Is("object") && len(p.Value.Properties) == 0 && (more.Has == nil || !*more.Has) {
				t.Errorf("%s.%s has any members, and does not say so", name, field)
			}
		}
	}
	if fields < 50 {
		t.Errorf("only %d fields", fields)
	}
	if more := doc.Components.Schemas["Problem"].Value.AdditionalProperties.Has; more == nil || !*more {
		t.Error("a problem may have no extensions")
	}
}

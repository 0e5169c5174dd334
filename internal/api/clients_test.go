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

// workplace is a copy of a folder of testdata/openapi, without what is below it,
// and with the description.
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

// in runs a program in the folder, and returns what it prints and says.
func in(t *testing.T, dir, program string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1", "GOFLAGS=-mod=mod", "GOWORK=off")
	err = cmd.Run()
	return out.String(), said.String(), err
}

// must is in for what has to succeed.
func must(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, said, err := in(t, dir, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, said)
	}
	return out
}

// npm is a folder with the tools of testdata/openapi/package-lock.json, exactly
// those, of which no script has run.
func npm(t *testing.T) string {
	t.Helper()
	program := testrun.Tool(t, "npm", "apt-get install npm")
	dir := workplace(t, ".")
	if out, said, err := in(t, dir, program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		t.Logf("npm ci: %v\n%s%s", err, out, said)
		testrun.Missing(t, "npm's registry", "npm ci, in internal/api/testdata/openapi, with a network")
	}
	return dir
}

func tool(dir, name string) string { return filepath.Join(dir, "node_modules", ".bin", name) }

// asked is what the clients, which take compressed answers, are to print for three tokens.
const asked = "200 a@example.com 1 pending null 0.5 0 W/\"1.0-77-3\"\n" +
	"503 urn:account-export:problem:account-incomplete team 5\n" +
	"401 urn:account-export:problem:invalid-token  null\n"

// served is a real API, and the tokens that the clients ask it with.
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

// TestDescriptionIsClean: two linters have nothing to say of it, and a client that
// TypeScript generates from it compiles, strictly, and fetches.
func TestDescriptionIsClean(t *testing.T) {
	t.Parallel()
	dir := npm(t)
	var found struct {
		Totals   struct{ Errors, Warnings, Ignored int }
		Problems []json.RawMessage
	}
	out := must(t, dir, tool(dir, "redocly"), "lint", "--config=redocly.yaml", "--format=json", "openapi.json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || found.Totals.Errors+found.Totals.Warnings+found.Totals.Ignored > 0 {
		t.Errorf("redocly: %v\n%s", err, out)
	}
	must(t, dir, tool(dir, "spectral"), "lint", "--ruleset=spectral.yaml", "--fail-severity=hint", "openapi.json")
	// Both can fail.
	bad := strings.Replace(string(openAPI), `"tags": [`, `"tagged": [`, 2)
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, lint := range [][]string{{"redocly", "lint", "--config=redocly.yaml", "bad.json"}, {"spectral", "lint", "--ruleset=spectral.yaml", "--fail-severity=hint", "bad.json"}} {
		if out, said, err := in(t, dir, tool(dir, lint[0]), lint[1:]...); err == nil {
			t.Errorf("%s finds nothing in what is wrong: %s%s", lint[0], out, said)
		}
	}

	must(t, dir, tool(dir, "openapi-typescript"), "openapi.json", "-o", "description.d.ts")
	must(t, dir, tool(dir, "tsc"), "-p", "tsconfig.json")
	if got := must(t, dir, "node", append([]string{"client.mjs"}, served(t)...)...); got != asked {
		t.Errorf("the client in TypeScript prints\n%s, want\n%s", got, asked)
	}
}

// TestGoClient is generated from the description, compiles and fetches.
func TestGoClient(t *testing.T) {
	t.Parallel()
	dir := workplace(t, "goclient")
	if out, said, err := in(t, dir, "go", "run", codegen, "-generate", "types,client", "-package", "main", "-o", "client.gen.go", "openapi.json"); err != nil {
		if strings.Contains(said, "dial tcp") { // of the module proxy
			t.Log(out, said)
			testrun.Missing(t, "the generator of Go clients", "go run "+codegen)
		}
		t.Fatalf("%v: %s%s", err, out, said)
	}
	must(t, dir, "go", "vet", ".")
	if got := must(t, dir, "go", append([]string{"run", "."}, served(t)...)...); got != asked {
		t.Errorf("the client in Go prints\n%s, want\n%s", got, asked)
	}
}

// TestEveryFieldIsExplained: what it means, in which unit where it is a number;
// what has any members is typed as that.
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
			text := p.Value.Description // of what it refers to, where it has none
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

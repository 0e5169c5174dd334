package accountexport_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/tools/go/packages"
	"gopkg.in/yaml.v3"

	"accountexport/internal/settings"
)

const module = "accountexport/"

// mayImport is the design's table: which packages of this module a package's
// own code may import, and whether it may speak to NATS, PostgreSQL or HTTP.
var mayImport = map[string]struct {
	own  []string
	nats bool
	pgx  bool
	mux  bool
}{
	"events":             {},
	"projections":        {own: []string{"events"}},
	"readmodel":          {own: []string{"events", "projections"}, pgx: true},
	"internal/stream":    {own: []string{"events", "projections"}, nats: true},
	"internal/acts":      {own: []string{"events", "projections", "readmodel", "internal/stream"}, pgx: true},
	"internal/api":       {own: []string{"events", "readmodel", "internal/auth"}, mux: true},
	"internal/auth":      {own: []string{"events"}},
	"internal/cli":       {own: []string{"internal/secret"}},
	"internal/ops":       {pgx: true},
	"internal/secret":    {},
	"internal/settings":  {own: []string{"internal/secret"}, pgx: true},
	"internal/telemetry": {own: []string{"projections"}},
	"internal/oracle":    {},
	"internal/workload":  {},
}

// TestImportsFollowTheDesign holds every import against the design's table.
func TestImportsFollowTheDesign(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.PkgPath, module)
		rule, ok := mayImport[name]
		if !ok {
			continue
		}
		seen++
		for path := range p.Imports {
			own, ours := strings.CutPrefix(path, module)
			switch {
			case ours && !slices.Contains(rule.own, own):
				t.Errorf("%s imports %s; it may import %v of this module", name, own, rule.own)
			case strings.HasPrefix(path, "github.com/nats-io/") && !rule.nats:
				t.Errorf("%s imports %s; only internal/stream speaks to NATS", name, path)
			case strings.HasPrefix(path, "github.com/jackc/") && !rule.pgx:
				t.Errorf("%s imports %s; only readmodel speaks to PostgreSQL", name, path)
			case path == "github.com/gorilla/mux" && !rule.mux:
				t.Errorf("%s imports %s; only internal/api routes", name, path)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("%d of the table's %d packages were found", seen, len(mayImport))
	}
}

// TestActsPrintNothing: what an act has to say it returns, or tells a callback, so
// that whoever calls it may be a command or a page.
func TestActsPrintNothing(t *testing.T) {
	speaks := regexp.MustCompile(`\bos\.(Std(in|out|err)|NewFile|Exit)\b|\bfmt\.(Fp|P)rint|\bio\.Writer\b|\bslog\.(Default|Debug|Info|Warn|Error)\b|^\s*(print|println)\(|"log"|"golang.org/x/term"`)
	files, err := filepath.Glob("internal/acts/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if said := speaks.FindString(line); said != "" {
				t.Errorf("%s: %s; what it has to say is for its callers to print", file, said)
			}
		}
	}
}

type compose struct {
	Services map[string]struct {
		Image       string
		Build       any
		Command     []string
		Environment map[string]string
		Volumes     []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
	Volumes map[string]any
}

func readCompose(t *testing.T) compose {
	t.Helper()
	b, err := os.ReadFile("docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestComposeIsInStepWithTheSettings: every variable that the compose file
// gives one of our programs is a setting of that program, its values are
// accepted, every service waits for services that are there, and what it
// mounts from this folder exists.
func TestComposeIsInStepWithTheSettings(t *testing.T) {
	c := readCompose(t)
	for name, program := range map[string]settings.Program{"provision": settings.ForProjector, "projector": settings.ForProjector, "api": settings.ForAPI} {
		service, ok := c.Services[name]
		if !ok || service.Build == nil {
			t.Errorf("service %s is missing, or not built from this folder", name)
			continue
		}
		known := map[string]bool{}
		for _, d := range settings.Docs() {
			if slices.Contains(d.UsedBy, program) {
				known[d.Name] = true
			}
		}
		var environ []string
		for k, v := range service.Environment {
			if !known[k] {
				t.Errorf("service %s sets %s, which is no setting of %s", name, k, program)
			}
			environ = append(environ, k+"="+substitute(v))
		}
		flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
		settings.AddFlags(flags, program)
		var err error
		if program == settings.ForAPI {
			_, err = settings.LoadAPI(flags, environ)
		} else {
			_, err = settings.LoadProjector(flags, environ)
		}
		if err != nil {
			t.Errorf("service %s: %v", name, err)
		}
	}
	for name, service := range c.Services {
		for on := range service.DependsOn {
			if _, ok := c.Services[on]; !ok {
				t.Errorf("service %s depends on %s, which is not there", name, on)
			}
		}
		for _, v := range service.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(from, ".") {
				if _, err := os.Stat(from); err != nil {
					t.Errorf("service %s mounts %s: %v", name, from, err)
				}
			} else if _, ok := c.Volumes[from]; !ok {
				t.Errorf("service %s mounts volume %s, which is not declared", name, from)
			}
		}
	}
	for _, want := range []string{"nats", "postgres", "provision", "projector", "api", "prometheus"} {
		if _, ok := c.Services[want]; !ok {
			t.Errorf("service %s is missing", want)
		}
	}
}

// substitute does what docker compose does with ${NAME:-default}, where no
// variable is set.
func substitute(v string) string {
	for {
		start := strings.Index(v, "${")
		if start < 0 {
			return v
		}
		end := start + strings.IndexByte(v[start:], '}')
		_, def, _ := strings.Cut(v[start+2:end], ":-")
		v = v[:start] + def + v[end+1:]
	}
}

// TestReadmeNamesEverySetting holds the README's table against the settings.
func TestReadmeNamesEverySetting(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range settings.Docs() {
		found := false
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "|") && strings.Contains(line, "`"+d.Name+"`") && strings.Contains(line, d.Default) {
				found = true
			}
		}
		if !found {
			t.Errorf("README.md has no row with %s and its default %q", d.Name, d.Default)
		}
	}
}

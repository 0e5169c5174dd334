package accountexport_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"accountexport/internal/settings"
)

// TestActsPrintNothing: what an act has to say it returns, or tells a callback, so
// that whoever calls it may be a command or a page; and so does what was found.
func TestActsPrintNothing(t *testing.T) {
	speaks := regexp.MustCompile(`\bos\.(Std(in|out|err)|NewFile|Exit)\b|\bfmt\.(Fp|P)rint|\bio\.Writer\b|\bslog\.(Default|Debug|Info|Warn|Error)\b|^\s*(print|println)\(|"log"|"golang.org/x/term"`)
	var files []string
	for _, silent := range []string{"internal/acts/*.go", "internal/findings/*.go"} {
		some, err := filepath.Glob(silent)
		if err != nil || len(some) == 0 {
			t.Fatal(silent, some, err)
		}
		files = append(files, some...)
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
		Profiles    []string
		Build       any
		Entrypoint  []string
		Command     []string
		Environment map[string]string
		Volumes     []string
		Ports       []string
		ExtraHosts  []string                              `yaml:"extra_hosts"`
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck struct {
			Test    []string
			Disable bool
		}
		Restart string
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
	for name, program := range map[string]settings.Program{"provision": settings.ForProjector, "projector": settings.ForProjector, "api": settings.ForAPI,
		"relay": settings.ForProjector, "control-plane": settings.ForDevstack} {
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
			environ = append(environ, k+"="+substitute(v, nil))
		}
		flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
		settings.AddFlags(flags, program)
		var err error
		switch {
		case program == settings.ForAPI:
			_, err = settings.LoadAPI(flags, environ)
		case program == settings.ForDevstack:
			_, err = settings.LoadSimulate(flags, environ)
		case name == "relay":
			_, err = settings.LoadRelay(flags, environ)
		default:
			_, err = settings.LoadProjector(flags, environ)
		}
		if err != nil {
			t.Errorf("service %s: %v", name, err)
		}
	}
	for name, service := range c.Services {
		for on, is := range service.DependsOn {
			other, ok := c.Services[on]
			if !ok {
				t.Errorf("service %s depends on %s, which is not there", name, on)
			}
			if len(other.Profiles) > 0 && !slices.Equal(service.Profiles, other.Profiles) {
				t.Errorf("service %s depends on %s, which is there with %v alone", name, on, other.Profiles)
			}
			switch healthy := other.Healthcheck.Test != nil && !other.Healthcheck.Disable; is.Condition {
			case "service_healthy":
				if !healthy {
					t.Errorf("service %s waits for the health of %s, which has no check", name, on)
				}
			case "service_completed_successfully":
				if other.Restart != "on-failure" {
					t.Errorf("service %s waits for the end of %s, which is restarted %s", name, on, other.Restart)
				}
			default:
				t.Errorf("service %s waits for %s until %q", name, on, is.Condition)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("service %s is published beyond this machine: %s", name, port)
			}
		}
		if _, version, _ := strings.Cut(service.Image, ":"); service.Build == nil && !regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)*(-alpine)?$`).MatchString(version) {
			t.Errorf("service %s has the image %q, without a version", name, service.Image)
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
	demo := []string{"control-plane", "control-plane-database", "relay"}
	for _, want := range append([]string{"nats", "postgres", "provision", "logins", "projector", "api", "prometheus", "grafana"}, demo...) {
		service, ok := c.Services[want]
		if !ok {
			t.Errorf("service %s is missing", want)
		}
		if given := len(service.Profiles) > 0; given != slices.Contains(demo, want) {
			t.Errorf("service %s is there with %v", want, service.Profiles)
		}
	}
}

// TestComposeDemonstrates: docker compose --profile demo up adds a control plane and the
// relay, by one login in a database of their own, and has the API and the control plane
// agree on tokens; Prometheus reads the relay.
func TestComposeDemonstrates(t *testing.T) {
	c := readCompose(t)
	plane, relay, api := c.Services["control-plane"], c.Services["relay"], c.Services["api"]
	u, err := url.Parse(substitute(plane.Environment["OUTBOX_DATABASE_URL"], nil))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if relay.Environment["OUTBOX_DATABASE_URL"] != plane.Environment["OUTBOX_DATABASE_URL"] || u.Host != "postgres:5432" {
		t.Errorf("the control plane writes to %s, and the relay reads %s", plane.Environment["OUTBOX_DATABASE_URL"], relay.Environment["OUTBOX_DATABASE_URL"])
	}
	sql, database := read(t, "deploy/control-plane.sql"), strings.TrimPrefix(u.Path, "/")
	for _, want := range []string{"CREATE ROLE " + u.User.Username() + " LOGIN'", "CREATE DATABASE " + database + " OWNER " + u.User.Username() + " ", "CONTROL_PLANE_PASSWORD"} {
		if !strings.Contains(sql, want) {
			t.Errorf("deploy/control-plane.sql has no %s", want)
		}
	}
	if got := substitute(c.Services["control-plane-database"].Environment["CONTROL_PLANE_PASSWORD"], nil); got != password {
		t.Errorf("the password is made %q, and used as %q", got, password)
	}
	given := map[string]string{"JWT_SECRET": "given"}
	for _, name := range []string{"JWT_SECRET", "JWT_ISSUER"} {
		if ours, theirs := substitute(plane.Environment[name], given), substitute(api.Environment[name], given); ours != theirs || ours == "" {
			t.Errorf("%s is %q of the control plane, and %q of the API", name, ours, theirs)
		}
	}
	if !slices.Equal(plane.Command, []string{"simulate"}) || !slices.Equal(relay.Command, []string{"relay"}) {
		t.Errorf("the control plane runs %q, and the relay %q", plane.Command, relay.Command)
	}
	if _, port, _ := strings.Cut(relay.Environment["ADMIN_ADDR"], ":"); !strings.Contains(read(t, "deploy/prometheus/prometheus.yml"), "names: [relay], type: A, port: "+port+" ") {
		t.Errorf("deploy/prometheus/prometheus.yml does not read the relay at port %s", port)
	}
	for _, name := range []string{"control-plane", "relay"} {
		if test := c.Services[name].Healthcheck.Test; !slices.Equal(test, []string{"CMD", "/program", "--healthcheck"}) {
			t.Errorf("service %s is healthy by %q", name, test)
		}
	}
}

// TestComposeFollowsTheManual: each program logs in as itself, in the role that
// doc/operating.md gives it; what listens is what others ask; images without a shell ask
// themselves whether they live; a local Supabase project can be reached.
func TestComposeFollowsTheManual(t *testing.T) {
	c := readCompose(t)
	logins, manual := read(t, "deploy/logins.sql"), read(t, "doc/operating.md")
	for program, role := range map[string]string{"projector": "accountexport_projector", "api": "accountexport_reader"} {
		service := c.Services[program]
		u, err := url.Parse(substitute(service.Environment["DATABASE_URL"], nil))
		if err != nil || u.User.Username() != program || u.Host != "postgres:5432" {
			t.Errorf("service %s logs in as %v on %s (%v)", program, u.User.Username(), u.Host, err)
		}
		for _, sql := range []string{"CREATE ROLE " + program + " LOGIN'", "GRANT " + role + " TO " + program + ";"} {
			if !strings.Contains(logins, sql) {
				t.Errorf("deploy/logins.sql has no %s", sql)
			}
		}
		if !regexp.MustCompile("CREATE ROLE " + program + " LOGIN .* IN ROLE " + role + `\b`).MatchString(manual) {
			t.Errorf("doc/operating.md does not give %s the role %s", program, role)
		}
		variable := strings.ToUpper(program) + "_PASSWORD"
		password, _ := u.User.Password()
		if got := substitute(c.Services["logins"].Environment[variable], nil); got != password || !strings.Contains(logins, variable) {
			t.Errorf("service logins gives %s the password %q, and %s has %q", program, got, program, password)
		}
		_, port, _ := strings.Cut(service.Environment["ADMIN_ADDR"], ":")
		if target := `"` + program + ":" + port + `"`; !strings.Contains(read(t, "deploy/prometheus/prometheus.yml"), target) {
			t.Errorf("deploy/prometheus/prometheus.yml has no target %s", target)
		}
		if !slices.Equal(service.Healthcheck.Test, []string{"CMD", "/program", "--healthcheck"}) {
			t.Errorf("service %s is healthy by %q", program, service.Healthcheck.Test)
		}
		if service.DependsOn["logins"].Condition != "service_completed_successfully" {
			t.Errorf("service %s does not wait for its login", program)
		}
	}
	if text := read(t, "deploy/Dockerfile"); !strings.Contains(text, `CMD ["/program", "--healthcheck"]`) {
		t.Error("deploy/Dockerfile has no health check")
	}
	api := c.Services["api"]
	if _, port, _ := strings.Cut(api.Environment["HTTP_ADDR"], ":"); !slices.Contains(api.Ports, "127.0.0.1:8080:"+port) {
		t.Errorf("the API listens on %s, and %q are published", port, api.Ports)
	}
	for _, name := range []string{"CORS_ALLOWED_ORIGINS", "CORS_ALLOWED_HEADERS", "JWT_SECRET"} {
		if got := substitute(api.Environment[name], map[string]string{name: "given"}); got != "given" {
			t.Errorf("%s is not passed to the API: %q", name, got)
		}
	}
	if !slices.Contains(api.ExtraHosts, "host.docker.internal:host-gateway") {
		t.Errorf("the API cannot reach this machine: %q", api.ExtraHosts)
	}
	for _, test := range []struct {
		given        map[string]string
		issuer, keys string
	}{
		{nil, "http://127.0.0.1:54321/auth/v1", "http://host.docker.internal:54321/auth/v1/.well-known/jwks.json"},
		{map[string]string{"SUPABASE_URL": "https://p.supabase.co"}, "https://p.supabase.co/auth/v1", "https://p.supabase.co/auth/v1/.well-known/jwks.json"},
		{map[string]string{"JWT_ISSUER": "https://i", "JWT_JWKS_URL": "https://k"}, "https://i", "https://k"},
	} {
		issuer, keys := substitute(api.Environment["JWT_ISSUER"], test.given), substitute(api.Environment["JWT_JWKS_URL"], test.given)
		if issuer != test.issuer || keys != test.keys {
			t.Errorf("with %v tokens are of %s, by the keys at %s", test.given, issuer, keys)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// substitute does what docker compose does with ${NAME:-default}, in which a
// default may have such as well, where these variables are set.
func substitute(v string, given map[string]string) string {
	innermost := regexp.MustCompile(`\$\{([A-Z_]+):-([^${}]*)\}`)
	for innermost.MatchString(v) {
		v = innermost.ReplaceAllStringFunc(v, func(one string) string {
			m := innermost.FindStringSubmatch(one)
			if value := given[m[1]]; value != "" {
				return value
			}
			return m[2]
		})
	}
	return v
}

// TestReferenceNamesEverySetting holds the table of doc/reference.md against the
// settings.
func TestReferenceNamesEverySetting(t *testing.T) {
	reference := read(t, "doc/reference.md")
	for _, d := range settings.Docs() {
		found := false
		for line := range strings.Lines(reference) {
			if strings.HasPrefix(line, "|") && strings.Contains(line, "`"+d.Name+"`") && strings.Contains(line, d.Default) {
				found = true
			}
		}
		if !found {
			t.Errorf("doc/reference.md has no row with %s and its default %q", d.Name, d.Default)
		}
	}
}

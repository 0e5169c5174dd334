package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/local/testrun"
	"accountexport/internal/settings"
)

// unit is a file of deploy/systemd. Options are what each directive says, in order; examples are
// those of directives in comments, and of lines NAME=value there.
type unit struct {
	file              string
	program           settings.Program
	options, examples map[string][]string
}

func units(t *testing.T) []unit {
	t.Helper()
	all := []unit{{file: "accountexport-projector.service", program: settings.ForProjector}, {file: "accountexport-api.service", program: settings.ForAPI},
		{file: "accountexport-relay.service", program: settings.ForProjector}}
	line := regexp.MustCompile(`^(#?) *([A-Za-z_]+)=(.*)$`)
	for i, u := range all {
		b, err := os.ReadFile(filepath.Join("../../deploy/systemd", u.file))
		if err != nil {
			t.Fatal(err)
		}
		all[i].options, all[i].examples = map[string][]string{}, map[string][]string{}
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			m := line.FindStringSubmatch(s.Text())
			switch {
			case m == nil:
			case m[1] == "#":
				all[i].examples[m[2]] = append(all[i].examples[m[2]], m[3])
			default:
				all[i].options[m[2]] = append(all[i].options[m[2]], m[3])
			}
		}
	}
	return all
}

// TestSystemdRestarts: systemd restarts the projector after every failure that may pass,
// never after a refusal, and gives up on a setting that is wrong. The API knows no
// refusals.
func TestSystemdRestarts(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		var refused []string
		if u.program == settings.ForProjector {
			for _, r := range findings.Refusals() {
				refused = append(refused, strconv.Itoa(r.Exit))
			}
		}
		prevented := strings.Fields(strings.Join(u.options["RestartPreventExitStatus"], " "))
		if diff := cmp.Diff(refused, prevented, cmp.Transformer("sorted", slices.Sorted[string])); diff != "" && len(refused)+len(prevented) > 0 {
			t.Errorf("%s: RestartPreventExitStatus is not the refusals (-internal/findings +unit):\n%s", u.file, diff)
		}
		if got := u.options["Restart"]; !slices.Equal(got, []string{"on-failure"}) {
			t.Errorf("%s: Restart is %v, want on-failure: status %d and %d may pass", u.file, got, cli.ExitFailure, cli.ExitUsage)
		}
		burst, pause, within := number(t, u, "StartLimitBurst"), duration(t, u, "RestartSec"), number(t, u, "StartLimitIntervalSec")
		if burst < 2 || time.Duration(burst)*pause >= time.Duration(within)*time.Second {
			t.Errorf("%s: %d starts, %v apart, never come within %d s: a wrong setting would be tried for ever", u.file, burst, pause, within)
		}
	}
}

// TestSystemdStopsInTime: a program that is stopped has longer than it takes by its own
// settings before systemd kills it.
func TestSystemdStopsInTime(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		takes := 5 * time.Second // for what comes after both
		for _, d := range settings.Docs() {
			if slices.Contains(d.UsedBy, u.program) && (d.Name == "SHUTDOWN_TIMEOUT" || d.Name == "DRAIN_DELAY") {
				own, err := time.ParseDuration(d.Default)
				if err != nil {
					t.Fatal(err)
				}
				takes += own
			}
		}
		if limit := duration(t, u, "TimeoutStopSec"); limit < takes {
			t.Errorf("%s: TimeoutStopSec is %v, and ending takes up to %v", u.file, limit, takes)
		}
	}
}

// TestSystemdNamesSettings: what units set, or show in comments, are settings of their
// program, and no value of a secret one stands in a unit.
func TestSystemdNamesSettings(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		secrets, names := map[string]bool{}, map[string]bool{}
		for _, d := range settings.Docs() {
			if slices.Contains(d.UsedBy, u.program) {
				names[d.Name], secrets[d.Name] = true, d.Secret
			}
		}
		var named []string
		for _, set := range append(slices.Clone(u.options["Environment"]), u.examples["Environment"]...) {
			name, _, _ := strings.Cut(set, "=")
			if named = append(named, name); secrets[name] {
				t.Errorf("%s sets %s, which everybody can read in a unit: it belongs into the EnvironmentFile", u.file, name)
			}
		}
		for name := range u.examples {
			if strings.ToUpper(name) == name {
				named = append(named, name)
			}
		}
		required := "DATABASE_URL"
		if strings.Contains(u.file, "relay") {
			required = "OUTBOX_" + required
		}
		if !slices.Contains(named, required) {
			t.Errorf("%s shows no %s, which is required", u.file, required)
		}
		for _, name := range named {
			if !names[name] && name != "PGPASSFILE" && name != "PGSSLROOTCERT" { // which PostgreSQL's driver reads
				t.Errorf("%s names %s, which is no setting of the %s", u.file, name, u.program)
			}
		}
		if len(u.options["EnvironmentFile"]) != 1 {
			t.Errorf("%s has the EnvironmentFiles %v, want one", u.file, u.options["EnvironmentFile"])
		}
	}
}

// TestSystemdWaitsAndWatches: each unit is one that says when it is up, and that is ended and begun again
// when it stands still; its program is what the packages install.
func TestSystemdWaitsAndWatches(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		program := map[string]string{"accountexport-projector.service": "projector run", "accountexport-api.service": "accountexport-api",
			"accountexport-relay.service": "projector relay"}[u.file]
		for option, want := range map[string]string{"Type": "notify", "ExecStart": program} {
			if got := strings.Join(u.options[option], " "); got != want {
				t.Errorf("%s: %s is %q, want %q", u.file, option, got, want)
			}
		}
		if watchdog := duration(t, u, "WatchdogSec"); watchdog < 30*time.Second {
			t.Errorf("%s: WatchdogSec is %v; ending may take 10 s, in which nobody beats", u.file, watchdog)
		}
	}
}

// TestSystemdLeavesNoMemory: what the watchdog ends leaves no image of its memory, where documents and passwords are; what is
// written meanwhile is for the unit's own user, in folders that go with it.
func TestSystemdLeavesNoMemory(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		for option, want := range map[string]string{"LimitCORE": "0", "UMask": "0077", "PrivateTmp": "yes", "DynamicUser": "yes"} {
			if got := strings.Join(u.options[option], " "); got != want {
				t.Errorf("%s: %s is %q, want %q", u.file, option, got, want)
			}
		}
	}
}

// TestNoUnitReadsAnothersCredentials: on one machine, what a unit loads is its own, and no program has another's password.
// Authorities are no secrets.
func TestNoUnitReadsAnothersCredentials(t *testing.T) {
	t.Parallel()
	of := map[string]string{}
	for _, u := range units(t) {
		for _, loaded := range u.examples["LoadCredential"] {
			_, file, _ := strings.Cut(loaded, ":")
			if strings.HasSuffix(file, "-ca.pem") {
				continue
			}
			if other := of[file]; other != "" {
				t.Errorf("%s and %s both load %s", other, u.file, file)
			}
			of[file] = u.file
		}
	}
	if len(of) < 5 {
		t.Errorf("only %v", of)
	}
}

// TestPasswordComesByCredential: what the units show in comments, a DATABASE_URL without a password and
// PGPASSFILE, is how the driver finds the password.
func TestPasswordComesByCredential(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pgpass")
	if err := os.WriteFile(file, []byte("db.example:5432:accountexport:projector:from the file\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSFILE", file)
	var said bytes.Buffer
	if status := run(t.Context(), []string{"run", "--memory-limit=1"}, []string{"DATABASE_URL=postgres://projector@db.example:5432/accountexport"}, io.Discard, &said); status != cli.ExitUsage || strings.Contains(said.String(), "DATABASE_URL") {
		t.Errorf("a DATABASE_URL without a password: %s", &said)
	}
	cfg, err := pgxpool.ParseConfig("postgres://projector@db.example:5432/accountexport")
	if err != nil || cfg.ConnConfig.Password != "from the file" {
		t.Errorf("the password is %q, %v", cfg.ConnConfig.Password, err)
	}
}

// mostExposure is the most that systemd's own mark for a unit's rights may be: 10 is everything, 0
// nothing. The network is most of it.
const mostExposure = 1.5

// TestSystemdAcceptsUnits has systemd judge each unit, as it is and with the directives
// in comments, for a program that exists, and mark what it may do.
func TestSystemdAcceptsUnits(t *testing.T) {
	t.Parallel()
	analyze := testrun.Tool(t, "systemd-analyze", "apt-get install systemd")
	directive := regexp.MustCompile(`(?m)^#((?:LoadCredential|Environment|MemoryMax)=)`)
	mark := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`)
	for _, u := range units(t) {
		b, err := os.ReadFile(filepath.Join("../../deploy/systemd", u.file))
		if err != nil {
			t.Fatal(err)
		}
		program, _, _ := strings.Cut(u.options["ExecStart"][0], " ")
		plain := strings.ReplaceAll(string(b), "ExecStart="+program, "ExecStart=/bin/true")
		for name, text := range map[string]string{"as it is": plain, "with its examples": directive.ReplaceAllString(plain, "$1")} {
			file := filepath.Join(t.TempDir(), u.file)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s, %s: %v\n%s", u.file, name, err, out)
			}
			out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", file).CombinedOutput()
			m := mark.FindSubmatch(out)
			if err != nil || m == nil {
				t.Fatalf("%s, %s: %v\n%s", u.file, name, err, out)
			}
			if exposure, err := strconv.ParseFloat(string(m[1]), 64); err != nil || exposure > mostExposure {
				t.Errorf("%s, %s: systemd marks what it may do with %s, and %v is the most\n%s", u.file, name, m[1], mostExposure, out)
			}
		}
	}
}

func number(t *testing.T, u unit, option string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Join(u.options[option], " "))
	if err != nil {
		t.Fatalf("%s: %s: %v", u.file, option, err)
	}
	return n
}

func duration(t *testing.T, u unit, option string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(strings.Join(u.options[option], " "))
	if err != nil {
		t.Fatalf("%s: %s: %v", u.file, option, err)
	}
	return d
}

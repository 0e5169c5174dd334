package accountexport_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

const dashboardFile = "deploy/grafana/dashboards/accountexport.json"

// grafanaPanel is what these tests read of a panel, or of the heading of a row.
type grafanaPanel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ H, W, X, Y int }
	Panels      []json.RawMessage
	Targets     []struct{ Expr string }
}

func readDashboard(t *testing.T) (panels []grafanaPanel) {
	t.Helper()
	var d struct{ Panels []grafanaPanel }
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 50 {
		t.Fatalf("%s has only %d panels", dashboardFile, len(d.Panels))
	}
	return d.Panels
}

// TestDashboardIsUpToDate: the committed dashboard is what tools/dashboard prints. That
// refuses one that Grafana's schema does not accept.
func TestDashboardIsUpToDate(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Env = filepath.FromSlash("tools/dashboard"), append(os.Environ(), "GOFLAGS=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("tools/dashboard: %v\n%s", err, stderr.String())
	}
	if diff := cmp.Diff(strings.Split(stdout.String(), "\n"), strings.Split(read(t, dashboardFile), "\n")); diff != "" {
		t.Errorf("%s is not what tools/dashboard prints; `make dashboard` writes it. -printed +committed:\n%.3000s", dashboardFile, diff)
	}
}

// screen is the height of the first screen, in units of Grafana's grid: one takes 38
// pixels with the gap below it, and of 900 some 250 are the browser's and the bars'
// above the panels.
const screen = 17

// TestDashboardIsLaidOut: no panel covers another one or leaves the grid; and what comes
// before the first row fits one screen and begins with figures.
func TestDashboardIsLaidOut(t *testing.T) {
	panels := readDashboard(t)
	taken, ids := map[[2]int]string{}, map[int]string{}
	for _, p := range panels {
		if p.ID == 0 || ids[p.ID] != "" {
			t.Errorf("%q has the id %d, which %q has, too", p.Title, p.ID, ids[p.ID])
		}
		ids[p.ID] = p.Title
		if len(p.Panels) > 0 {
			t.Errorf("row %q has panels within, which Grafana shows only where it is collapsed", p.Title)
		}
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("%q is at %+v, which is not within 24 columns", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q covers %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	first := slices.IndexFunc(panels, func(p grafanaPanel) bool { return p.Type == "row" })
	figures := 0
	for _, p := range panels[:first] {
		if p.GridPos.Y+p.GridPos.H > screen {
			t.Errorf("%q ends at %d of the first screen's %d", p.Title, p.GridPos.Y+p.GridPos.H, screen)
		}
		if p.Type == "stat" {
			figures++
		}
		if len(p.Title) > 7*p.GridPos.W {
			t.Errorf("the title %q does not fit %d columns of some 58 pixels", p.Title, p.GridPos.W)
		}
	}
	if figures < 12 || panels[first].GridPos.Y > screen {
		t.Errorf("the first screen has %d figures, and ends at %d", figures, panels[first].GridPos.Y)
	}
	rows := 0
	for _, p := range panels[first:] {
		if p.Type == "row" {
			rows++
		} else if p.Type == "stat" {
			t.Errorf("%q is a figure below the first screen", p.Title)
		}
	}
	if rows < 9 {
		t.Errorf("the dashboard has %d rows", rows)
	}
}

// TestDashboardSaysWhatIsGood: every panel says so, and names sections of the runbook
// that are there.
func TestDashboardSaysWhatIsGood(t *testing.T) {
	var headings []string
	for _, d := range manuals(t) {
		if d.Path == "doc/runbook.md" {
			headings = d.Headings()
		}
	}
	named := regexp.MustCompile(`\n\nRunbook \(doc/runbook\.md\): (.+)\.$`)
	sections := 0
	for _, p := range readDashboard(t) {
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || !strings.Contains(p.Description, "Good: ") {
			t.Errorf("%q has %d queries, and says %q", p.Title, len(p.Targets), p.Description)
		}
		m := named.FindStringSubmatch(p.Description)
		if m == nil {
			continue
		}
		for _, name := range strings.Split(m[1], ", ") {
			if sections++; !slices.Contains(headings, name) {
				t.Errorf("%q sends people to %q of doc/runbook.md, which has no such heading", p.Title, name)
			}
		}
	}
	if sections < 40 {
		t.Errorf("only %d sections of the runbook are named", sections)
	}
}

// TestGrafanaIsProvisioned: the datasource is the Prometheus of the compose file, and
// the dashboards are looked for where the compose file mounts them.
func TestGrafanaIsProvisioned(t *testing.T) {
	var sources struct {
		Datasources []struct {
			Name, Type, URL string
			IsDefault       bool `yaml:"isDefault"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/grafana/provisioning/datasources/prometheus.yml")), &sources); err != nil {
		t.Fatal(err)
	}
	if d := sources.Datasources; len(d) != 1 || d[0].Type != "prometheus" || d[0].URL != "http://prometheus:9090" || !d[0].IsDefault {
		t.Errorf("the datasources are %+v", d)
	}
	var providers struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/grafana/provisioning/dashboards/accountexport.yml")), &providers); err != nil {
		t.Fatal(err)
	}
	if len(providers.Providers) != 1 || providers.Providers[0].Type != "file" {
		t.Fatalf("the providers are %+v", providers)
	}
	volumes := readCompose(t).Services["grafana"].Volumes
	for from, to := range map[string]string{"./deploy/grafana/dashboards": providers.Providers[0].Options.Path, "./deploy/grafana/provisioning": "/etc/grafana/provisioning"} {
		if mount := from + ":" + to + ":ro"; !slices.Contains(volumes, mount) {
			t.Errorf("service grafana does not mount %s, but %q", mount, volumes)
		}
	}
	home := readCompose(t).Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if want := providers.Providers[0].Options.Path + "/" + filepath.Base(dashboardFile); home != want {
		t.Errorf("Grafana opens %q, want %s", home, want)
	}
}

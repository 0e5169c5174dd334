package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"accountexport/internal/settings"
)

// root is the project's folder.
const root = "../.."

// release is what the tests look at of .goreleaser.yaml.
type release struct {
	Builds []struct {
		ID, Main, Binary string
		Env, Flags       []string
		ModTimestamp     string `yaml:"mod_timestamp"`
		Goos             []string
	}
	Archives []struct {
		IDs   []string
		Files []struct {
			Src  string
			Info struct{ Mtime string }
		}
	}
	Nfpms []struct {
		IDs, Formats  []string
		Bindir, Mtime string
		Recommends    []string
		Contents      []struct {
			Src, Dst, Type string
			FileInfo       struct {
				Mode  int
				Mtime string
			} `yaml:"file_info"`
		}
		Scripts map[string]string
	}
	Images []struct {
		ID, Dockerfile string
		IDs            []string
		BuildArgs      map[string]string `yaml:"build_args"`
	} `yaml:"dockers_v2"`
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readRelease(t *testing.T) (r release) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, ".goreleaser.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Builds) == 0 || len(r.Archives) != 1 || len(r.Nfpms) != 1 || len(r.Images) == 0 {
		t.Fatalf("%+v", r)
	}
	return r
}

// TestReleaseHasEveryProgram, static, with no path of the machine that builds it and no time but the commit's.
func TestReleaseHasEveryProgram(t *testing.T) {
	t.Parallel()
	r := readRelease(t)
	var mains, ids []string
	for _, b := range r.Builds {
		mains, ids = append(mains, filepath.Base(b.Main)), append(ids, b.ID)
		if !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains(b.Flags, "-trimpath") || b.ModTimestamp != "{{ .CommitTimestamp }}" {
			t.Errorf("%s is built by %+v", b.ID, b)
		}
		if b.ID != "devstack" && !slices.Equal(b.Goos, []string{"linux", "darwin", "windows"}) {
			t.Errorf("%s is built for %v", b.ID, b.Goos)
		}
	}
	there, err := filepath.Glob(filepath.Join(root, "cmd/*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range there {
		there[i] = filepath.Base(there[i])
	}
	if slices.Sort(mains); !slices.Equal(mains, there) {
		t.Errorf("programs are built of %v, and there are %v", mains, there)
	}
	if !slices.Equal(r.Archives[0].IDs, ids) {
		t.Errorf("the archives have %v of %v", r.Archives[0].IDs, ids)
	}
}

// TestReleaseNamesWhatIsThere: every file that goes into an archive or a package exists, with the commit's time.
func TestReleaseNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	r := readRelease(t)
	exists := func(pattern, mtime string) {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Errorf("there is no %s: %v", pattern, err)
		}
		if mtime != "{{ .CommitDate }}" {
			t.Errorf("%s has the time %q: two builds would differ", pattern, mtime)
		}
	}
	for _, f := range r.Archives[0].Files {
		exists(f.Src, f.Info.Mtime)
	}
	p := r.Nfpms[0]
	for _, c := range p.Contents {
		if c.Type == "dir" {
			exists("go.mod", c.FileInfo.Mtime)
		} else {
			exists(c.Src, c.FileInfo.Mtime)
		}
	}
	for _, script := range p.Scripts {
		exists(script, p.Mtime)
	}
}

// TestPackagesHoldTheUnits, with the programs and the settings that they name: nobody but root reads those, and an
// upgrade leaves them as they are.
func TestPackagesHoldTheUnits(t *testing.T) {
	t.Parallel()
	r := readRelease(t)
	p, installed, binaries := r.Nfpms[0], map[string]string{}, []string{}
	if !slices.Equal(p.Formats, []string{"deb", "rpm"}) || p.Bindir != "/usr/bin" {
		t.Errorf("the packages are %v, with programs in %s", p.Formats, p.Bindir)
	}
	if !slices.Contains(p.Recommends, "ca-certificates") { // a static program has no certificates of its own
		t.Errorf("the packages recommend %v: no certificate is believed on a machine without ca-certificates", p.Recommends)
	}
	for _, c := range p.Contents {
		installed[c.Dst] = c.Type + fmt.Sprintf(" %#o", c.FileInfo.Mode)
	}
	for _, b := range r.Builds {
		if slices.Contains(p.IDs, b.ID) {
			binaries = append(binaries, b.Binary)
		}
	}
	units, err := filepath.Glob(filepath.Join(root, "deploy/systemd/*.service"))
	if err != nil || len(units) != 3 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		name := filepath.Base(unit)
		text := read(t, "deploy/systemd/"+name)
		if installed["/usr/lib/systemd/system/"+name] != " 0644" {
			t.Errorf("the packages have no %s", name)
		}
		if program := regexp.MustCompile(`(?m)^ExecStart=(\S+)`).FindStringSubmatch(text); !slices.Contains(binaries, program[1]) {
			t.Errorf("%s starts %s, and the packages have %v", name, program[1], binaries)
		}
		env := regexp.MustCompile(`(?m)^EnvironmentFile=(\S+)`).FindStringSubmatch(text)
		if got := installed[env[1]]; got != "config|noreplace 0600" {
			t.Errorf("%s reads %s, which the packages install as %q", name, env[1], got)
		}
		for _, file := range regexp.MustCompile(`(?m)^Documentation=file://(\S+)`).FindStringSubmatch(text)[1:] {
			if _, err := os.Stat(filepath.Join(root, "doc", filepath.Base(file))); err != nil || filepath.Dir(file) != "/usr/share/doc/accountexport" {
				t.Errorf("%s names %s: %v", name, file, err)
			}
		}
		if !strings.Contains(read(t, "deploy/packages/preremove.sh"), name) {
			t.Errorf("a removal does not stop %s", name)
		}
	}
}

// TestSettingsFilesAreRight: what the packages' settings files show in comments are settings that their program accepts, and as they are
// installed they set nothing.
func TestSettingsFilesAreRight(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^#([A-Z_]+=)'([^']*)'$`) // in quotes, since the runbook has a shell read them, too
	loads := map[string]func(*pflag.FlagSet, []string) error{
		"api":       func(f *pflag.FlagSet, e []string) error { _, err := settings.LoadAPI(f, e); return err },
		"projector": func(f *pflag.FlagSet, e []string) error { _, err := settings.LoadProjector(f, e); return err },
		"relay":     func(f *pflag.FlagSet, e []string) error { _, err := settings.LoadRelay(f, e); return err },
	}
	for name, load := range loads {
		program := settings.ForProjector
		if name == "api" {
			program = settings.ForAPI
		}
		var shown []string
		for text := range strings.Lines(read(t, "deploy/packages/"+name+".env")) {
			text = strings.TrimSpace(text)
			if !strings.HasPrefix(text, "#") {
				t.Errorf("%s.env sets %s", name, text)
			}
			if m := line.FindStringSubmatch(text); m != nil {
				shown = append(shown, m[1]+m[2])
			}
		}
		for _, one := range shown {
			variable, _, _ := strings.Cut(one, "=")
			if !slices.ContainsFunc(settings.Docs(), func(d settings.Doc) bool { return d.Name == variable && slices.Contains(d.UsedBy, program) }) {
				t.Errorf("%s.env shows %s, which is no setting of %s", name, variable, program)
			}
		}
		flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
		settings.AddFlags(flags, program)
		if err := load(flags, shown); err != nil || len(shown) < 2 {
			t.Errorf("%s.env shows %q: %v", name, shown, err)
		}
	}
}

// TestImageRecipesAgree: the image of a released program is as that of deploy/Dockerfile, and holds a program that is released.
func TestImageRecipesAgree(t *testing.T) {
	t.Parallel()
	r := readRelease(t)
	said := func(file string) []string {
		return regexp.MustCompile(`(?m)^(USER|HEALTHCHECK|ENTRYPOINT|FROM scratch).*$`).FindAllString(read(t, file), -1)
	}
	binaries := map[string]string{}
	for _, b := range r.Builds {
		binaries[b.ID] = b.Binary
	}
	for _, image := range r.Images {
		if diff := cmp.Diff(said("deploy/Dockerfile"), said(image.Dockerfile)); diff != "" || len(said(image.Dockerfile)) != 4 {
			t.Errorf("%s is not as deploy/Dockerfile:\n%s", image.Dockerfile, diff)
		}
		if !slices.Equal(image.IDs, []string{image.ID}) || binaries[image.ID] != image.BuildArgs["PROGRAM"] {
			t.Errorf("the image of %s holds %v", image.ID, image.BuildArgs)
		}
		if !strings.Contains(read(t, image.Dockerfile), "not built") {
			t.Errorf("%s does not say that it was not built", image.Dockerfile)
		}
	}
}

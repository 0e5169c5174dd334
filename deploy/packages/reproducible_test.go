package packages

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/testrun"
)

// install is how goreleaser comes to a machine.
const install = "go install github.com/goreleaser/goreleaser/v2@v2.16.0"

// clone makes a copy of what is committed, with the file modes that the umask leaves, and with other times.
func clone(t *testing.T, umask string, at time.Time) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "clone-"+umask)
	from, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", `umask "$0" && git clone --quiet --depth 1 "file://$1" "$2"`, umask, from, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	err = filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil {
			err = os.Chtimes(path, at, at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestOneBuildIsAsAnother: with the flags of a release, a program has the same bytes wherever and whenever it is built. It
// is a small one here; TestPackagesAreAsOnesBuiltElsewhere builds those that are released.
func TestOneBuildIsAsAnother(t *testing.T) {
	t.Parallel()
	testrun.Tool(t, "git", "apt-get install git")
	r, built := readRelease(t), [][]byte{}
	for umask, at := range map[string]time.Time{"022": time.Now(), "077": time.Unix(1e9, 0)} {
		folder := clone(t, umask, at)
		cmd := exec.Command("go", slices.Concat([]string{"build", "-o", "built"}, r.Builds[0].Flags, []string{"-ldflags=-s -w", "./schemas/internal/generate"})...)
		cmd.Dir, cmd.Env = folder, append(append(os.Environ(), "GOFLAGS="), r.Builds[0].Env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(folder, "built"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(filepath.Dir(folder))) {
			t.Errorf("the program built in %s has that path in it", folder)
		}
		built = append(built, b)
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Errorf("two builds differ: %x and %x", sha256.Sum256(built[0]), sha256.Sum256(built[1]))
	}
}

// TestPackagesAreAsOnesBuiltElsewhere has goreleaser check its file and build, for one system, what is committed, in two
// places with other times and modes of files, and compares every byte; then it looks into the packages, and installs and
// removes the one of Debian in a folder of its own.
func TestPackagesAreAsOnesBuiltElsewhere(t *testing.T) {
	if !testrun.Long() {
		t.Skip("builds everything twice; make release-check and make test-long run it")
	}
	goreleaser := testrun.Tool(t, "goreleaser", install)
	testrun.Tool(t, "git", "apt-get install git")
	cmd := exec.Command(goreleaser, "check")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	one := regexp.MustCompile(`goos: \[.*`).ReplaceAllString(read(t, ".goreleaser.yaml"), "goos: [linux]")
	one = regexp.MustCompile(`goarch: \[.*`).ReplaceAllString(one, "goarch: [amd64]")
	config := filepath.Join(t.TempDir(), "one-system.yaml")
	if err := os.WriteFile(config, []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	var folders []string
	var sums []map[string]string
	for umask, at := range map[string]time.Time{"022": time.Now(), "077": time.Unix(1e9, 0)} {
		folder := clone(t, umask, at)
		cmd := exec.Command("sh", "-c", `umask "$0" && exec "$1" release --snapshot --clean --skip=docker --parallelism 1 --config "$2"`, umask, goreleaser, config)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		folders, sums = append(folders, folder), append(sums, sumsOf(t, filepath.Join(folder, "dist")))
	}
	if diff := cmp.Diff(sums[0], sums[1]); diff != "" {
		t.Errorf("two builds of one commit differ:\n%s", diff)
	}
	for _, end := range []string{".deb", ".rpm", ".tar.gz", "checksums.txt"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(sums[0])), func(name string) bool { return strings.HasSuffix(name, end) }) {
			t.Errorf("no %s is built: %v", end, sums[0])
		}
	}
	t.Run("deb", func(t *testing.T) { installDeb(t, only(t, folders[0], "*.deb")) })
	t.Run("rpm", func(t *testing.T) { listRPM(t, only(t, folders[0], "*.rpm")) })
}

// sumsOf are those of the files that are for others.
func sumsOf(t *testing.T, dist string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.deb", "*.rpm", "*.tar.gz", "*.txt"} {
		found, err := filepath.Glob(filepath.Join(dist, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(file)] = fmt.Sprintf("%x", sha256.Sum256(b))
		}
	}
	return all
}

func only(t *testing.T, folder, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "dist", pattern))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

// output runs a command, and fails the test where that fails.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// installDeb installs the package below a folder, changes a settings file, installs it again, removes and purges it.
func installDeb(t *testing.T, deb string) {
	dpkg := testrun.Tool(t, "dpkg", "apt-get install dpkg")
	if os.Getuid() != 0 {
		t.Skip("dpkg installs as root alone")
	}
	to := t.TempDir()
	for _, folder := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(to, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(to, "var/lib/dpkg", file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	below := []string{"--root=" + to, "--force-script-chrootless", "--force-depends", "--log=/dev/null"}
	output(t, dpkg, append(below, "-i", deb)...)
	for file, mode := range map[string]os.FileMode{"usr/bin/projector": 0o755, "usr/bin/accountexport-api": 0o755, "etc/accountexport": 0o700 | os.ModeDir,
		"etc/accountexport/projector.env": 0o600, "etc/accountexport/relay.env": 0o600, "usr/lib/systemd/system/accountexport-relay.service": 0o644,
		"usr/share/doc/accountexport/operating.md": 0o644, "usr/share/accountexport/logins.sql": 0o644} {
		if info, err := os.Stat(filepath.Join(to, file)); err != nil || info.Mode() != mode {
			t.Errorf("%s is installed as %v: %v", file, info, err)
		}
	}
	for program, says := range map[string]string{"projector": "projector ", "accountexport-api": "api "} {
		if out := output(t, filepath.Join(to, "usr/bin", program), "--version"); !strings.HasPrefix(out, says) {
			t.Errorf("%s --version says %s", program, out)
		}
	}
	settings, mine := filepath.Join(to, "etc/accountexport/api.env"), "SUPABASE_URL=https://mine\n"
	if err := os.WriteFile(settings, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, dpkg, append(below, "-i", deb)...)
	if b, err := os.ReadFile(settings); err != nil || string(b) != mine {
		t.Errorf("after an upgrade the settings are %s, %v", b, err)
	}
	output(t, dpkg, append(below, "-r", "accountexport")...)
	if _, err := os.Stat(settings); err != nil {
		t.Errorf("a removal takes the settings with it: %v", err)
	}
	if _, err := os.Stat(filepath.Join(to, "usr/bin/projector")); err == nil {
		t.Error("a removal leaves the programs")
	}
	output(t, dpkg, append(below, "-P", "accountexport")...)
	if _, err := os.Stat(settings); err == nil {
		t.Error("what is purged leaves its settings")
	}
}

// listRPM looks at what the package of Red Hat holds.
func listRPM(t *testing.T, file string) {
	rpm := testrun.Tool(t, "rpm", "apt-get install rpm")
	got := output(t, rpm, "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES} %{FILEFLAGS:fflags}\n]", file)
	for _, want := range []string{"-rwxr-xr-x /usr/bin/projector \n", "-rwxr-xr-x /usr/bin/accountexport-api \n", "-rw------- /etc/accountexport/api.env cn\n",
		"-rw-r--r-- /usr/lib/systemd/system/accountexport-projector.service \n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the rpm has no %s in\n%s", want, got)
		}
	}
	if scripts := output(t, rpm, "-qp", "--scripts", file); !strings.Contains(scripts, "disable --now accountexport-projector.service") {
		t.Errorf("its scripts are %s", scripts)
	}
}

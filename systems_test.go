package accountexport_test

import (
	"os"
	"os/exec"
	"testing"

	"accountexport/internal/local/testrun"
)

// TestOtherSystemsAreSupported: on macOS everything compiles, tests as well; on Windows
// the programs do. Nothing is run there. What was checked before comes from Go's cache.
// Without one each takes a minute of two cores, so macOS, of which Linux's files are
// compiled here anyway, is for the long run.
func TestOtherSystemsAreSupported(t *testing.T) {
	for system, args := range map[string][]string{"darwin": {"vet", "./..."}, "windows": {"build", "./cmd/..."}} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			if system == "darwin" && !testrun.Long() {
				t.Skip("at length: LONG=1")
			}
			cmd := exec.Command("go", args...)
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("GOOS=%s go %v: %v\n%s", system, args, err, out)
			}
		})
	}
}

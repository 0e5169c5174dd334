package accountexport_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestOtherSystemsAreSupported: on macOS everything compiles, tests as well; on Windows
// the programs do. Nothing is run there. What was checked before comes from Go's cache.
func TestOtherSystemsAreSupported(t *testing.T) {
	for system, args := range map[string][]string{"darwin": {"vet", "./..."}, "windows": {"build", "./cmd/..."}} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", args...)
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("GOOS=%s go %v: %v\n%s", system, args, err, out)
			}
		})
	}
}

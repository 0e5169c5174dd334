package accountexport_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
)

// large are the tracked files that may be larger than most: none now.
var large []string

const mostBytes = 1 << 20

// TestNoTrackedFileIsLarge: programs, databases and dumps that were added by mistake stay
// in the history for good.
func TestNoTrackedFileIsLarge(t *testing.T) {
	git := testrun.Tool(t, "git", "apt-get install git")
	if _, err := os.Stat(".git"); err != nil {
		t.Skip("this is no checkout of git, so nothing is tracked")
	}
	out, err := exec.Command(git, "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	if !slices.Contains(files, "go.mod") {
		t.Fatalf("git lists %d files, and go.mod is not among them", len(files))
	}
	for _, file := range files {
		info, err := os.Lstat(file)
		if err == nil && info.Size() > mostBytes && !slices.Contains(large, file) {
			t.Errorf("%s has %d bytes, and %d are the most for what is tracked: leave it out, or name it here", file, info.Size(), mostBytes)
		}
	}
}

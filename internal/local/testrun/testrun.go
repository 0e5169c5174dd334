// Package testrun says at which length tests run, from which seed, and what
// becomes of one whose tool is missing.
//
// `make test` runs every test at its usual length, from fixed seeds, so that it
// fails for a reason; `make test-long` sets LONG, and tests that have a longer
// form run that, from new seeds, which they print.
package testrun

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Long tells whether tests run at length.
func Long() bool { return os.Getenv("LONG") != "" }

// Seed is that of SEED, or else a new one at length and 1 otherwise. It is
// printed.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if Long() {
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SEED is %q: it has to be a whole number", s)
		}
	}
	t.Logf("SEED=%d", seed)
	return seed
}

// Seeds runs a random test with its seed, and at length, unless SEED names one,
// with four. The name of the subtest holds the seed, so a failure says it.
func Seeds(t *testing.T, test func(t *testing.T, seed uint64)) {
	t.Helper()
	seed := Seed(t)
	list := []uint64{seed}
	if Long() && os.Getenv("SEED") == "" {
		list = []uint64{1, seed, seed + 1, seed + 2}
	}
	for _, seed := range list {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { test(t, seed) })
	}
}

// AtLength is how much a test takes: usually, or at length.
func AtLength(usually, atLength int) int {
	if Long() {
		return atLength
	}
	return usually
}

// Tool is the path of a program that a test needs. Where it is missing the test
// is skipped, saying how to install it; under continuous integration (CI is
// set), which has to have everything, it fails.
func Tool(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, install)
	}
	return path
}

// Missing skips a test, or fails it where CI is set, since it lacks what the
// command installs.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	say := t.Skipf
	if os.Getenv("CI") != "" {
		say = t.Fatalf
	}
	say("this test needs %s; install it with: %s", what, install)
}

// Package testrun says how long tests run, from which seed, and what happens to a
// test whose tool is missing.
//
// `make test` runs every test at its usual length and from fixed seeds, so a failure
// has a cause in the code. `make test-long` sets LONG: tests that have a longer form
// run that, from new seeds, which they print.
package testrun

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Long reports whether tests run at length.
func Long() bool { return os.Getenv("LONG") != "" }

// Seed returns SEED if it is set, and otherwise a new seed at length and 1 at the
// usual length. It logs the seed.
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

// Seeds runs a random test with one seed, or with four at length unless SEED is set.
// The subtest's name contains the seed, so a failure shows it.
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

// AtLength returns the first value, or the second at length.
func AtLength(usually, atLength int) int {
	if Long() {
		return atLength
	}
	return usually
}

// Tool returns the path of a program that a test needs. Without it the test is
// skipped, with the command that installs it, or fails where CI is set.
func Tool(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name, install)
	}
	return path
}

// Missing skips a test that lacks what the command installs, or fails it where CI is
// set.
func Missing(t testing.TB, what, install string) {
	t.Helper()
	say := t.Skipf
	if os.Getenv("CI") != "" {
		say = t.Fatalf
	}
	say("this test needs %s; install it with: %s", what, install)
}

// Eventually waits until the condition holds, and fails the test if it does not within
// 30 s. what names the condition in the failure.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

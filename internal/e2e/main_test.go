package e2e

import (
	"flag"
	"os"
	"testing"

	"accountexport/internal/local/postgres"
)

// atOnce is how many tests run side by side. Most of each is waiting.
const atOnce = "5"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err) // package testing defines the flag
	}
	code := postgres.Main(m)
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

package e2e

import (
	"os"
	"testing"

	"accountexport/internal/local/natsserver"
)

func TestMain(m *testing.M) {
	natsserver.ServeIfAsked() // a server that a test kills is this program again
	code := m.Run()
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

package bench

import (
	"fmt"
	"os"
	"testing"

	"accountexport/internal/local/natsserver"
)

func TestMain(m *testing.M) {
	natsserver.ServeIfAsked()
	code := m.Run()
	if err := taken.writeFile(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

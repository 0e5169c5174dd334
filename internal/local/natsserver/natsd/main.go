// Command natsd is a NATS server in a process of its own, for tests under the race
// detector: it slows them down, and has nothing to find in a server that is not ours.
// See [natsserver.StartProcess].
package main

import (
	"fmt"
	"os"

	"accountexport/internal/local/natsserver"
)

func main() {
	natsserver.ServeIfAsked()
	fmt.Fprintln(os.Stderr, "natsd: it is started by tests")
	os.Exit(2)
}

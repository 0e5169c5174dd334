// Command natsd is a NATS server in a process of its own, for tests that are
// themselves slowed down by the race detector, which has nothing to find in a
// server that is not ours. See [natsserver.StartProcess].
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

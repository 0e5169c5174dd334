//go:build !unix

package main

import (
	"fmt"
	"os"
)

// main refuses: the servers are started, and ended whatever happens, in ways that only
// Unix has.
func main() {
	fmt.Fprintln(os.Stderr, "devstack runs on Linux, macOS and other Unix systems only; on this one, run it in WSL, or use docker compose up")
	os.Exit(2)
}

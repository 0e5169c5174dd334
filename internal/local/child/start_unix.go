//go:build unix && !linux

package child

import (
	"os/exec"
	"syscall"
)

// Start starts the command. The process gets the signal when this one dies.
func Start(cmd *exec.Cmd, onDeath syscall.Signal) (*Process, error) {
	return startWatched(cmd, onDeath)
}

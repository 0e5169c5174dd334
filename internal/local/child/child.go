// Package child starts processes that end with this one, for the servers of tests,
// benchmarks and devstack, on Linux, macOS and other Unix systems.
//
// However this process ends, by SIGKILL too, each of them is then signalled: on Linux by
// the kernel, elsewhere by a shell that waits beside it. A Ctrl-C on the terminal does
// not reach them, so that their owner can end them in order.
package child

import "os"

// Process is a started process. It is safe for concurrent use.
type Process struct {
	*os.Process
	ended chan struct{}
	err   error // set before ended is closed
}

// Ended is closed once the process has ended and its output has been copied.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err waits for the end of the process and returns how it ended; nil stands for exit
// status 0.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

// Package child starts processes that end with this one, for the servers of tests,
// benchmarks and devstack.
//
// However this process ends, by SIGKILL too, the kernel then signals each of them. A
// Ctrl-C on the terminal does not reach them, so that their owner can end them in
// order.
package child

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Process is a started process. It is safe for concurrent use.
type Process struct {
	*os.Process
	ended chan struct{}
	err   error // set before ended is closed
}

// Start starts the command. The process gets the signal when this one dies.
func Start(cmd *exec.Cmd, onDeath syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, onDeath
	p := &Process{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The signal is sent when the thread that forked ends, so that thread waits here.
		runtime.LockOSThread()
		defer close(p.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.Process = cmd.Process
	return p, nil
}

// Ended is closed once the process has ended and its output has been copied.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err waits for the end of the process and returns how it ended; nil stands for exit
// status 0.
func (p *Process) Err() error {
	<-p.ended
	return p.err
}

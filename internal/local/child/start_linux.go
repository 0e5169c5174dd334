package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

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

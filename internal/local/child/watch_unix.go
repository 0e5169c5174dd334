//go:build unix

package child

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// startWatched is Start for systems whose kernel does not signal the children of a
// process that has ended. A shell waits for the end of a pipe that this process alone
// holds open, and then signals the process. It runs as the same user as the process, so
// that it may, and is killed when that has ended by itself. All that holds once
// startWatched has returned: killed before, this process may leave the other behind.
func startWatched(cmd *exec.Cmd, onDeath syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	waits, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer waits.Close()
	if err := cmd.Start(); err != nil {
		held.Close()
		return nil, err
	}
	watch := exec.Command("/bin/sh", "-c", `trap "" HUP INT TERM; read -r never; kill -"$1" "$2"`, "sh",
		strconv.Itoa(int(onDeath)), strconv.Itoa(cmd.Process.Pid))
	watch.Stdin = waits
	watch.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cmd.SysProcAttr.Credential}
	if err := watch.Start(); err != nil {
		held.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start the shell that ends %s with this process: %w", cmd.Path, err)
	}
	p := &Process{Process: cmd.Process, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
		_ = watch.Process.Kill() // before the pipe is closed, so that it signals nobody
		_ = watch.Wait()
		held.Close()
	}()
	return p, nil
}

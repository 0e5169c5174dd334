package devstack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a program that was started, and ends with this process.
type child struct {
	name  string
	log   string // file with what it says
	proc  *os.Process
	ended chan struct{}
	err   error // once ended
}

// start starts a program with these settings on top of the environment. Its
// output goes to a file.
func start(bin, logDir string, settings []string, args ...string) (*child, error) {
	c := &child{name: filepath.Base(bin), ended: make(chan struct{})}
	c.log = filepath.Join(logDir, c.name+".log")
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), settings...)
	cmd.Stdout, cmd.Stderr = out, out
	// Ctrl-C on the terminal is for us alone; our death ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the thread that forked ends, so that
		// thread waits here.
		runtime.LockOSThread()
		defer out.Close()
		defer close(c.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	c.proc = cmd.Process
	return c, nil
}

// stop asks the program to end, and ends it hard where it does not.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.proc.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(12 * time.Second):
		_ = c.proc.Kill()
		<-c.ended
	}
}

// failure says how a program that should run has ended.
func (s *stack) failure(c *child) error {
	return fmt.Errorf("%s ended (%v); %s", c.name, c.err, s.logTail(c))
}

// logTail is the end of a program's log, which is all that is left of it where
// nothing is kept.
func (s *stack) logTail(c *child) string {
	if s.temporary() {
		return fmt.Sprintf("the log of %s (with --keep all of it stays) ends with:\n%s", c.name, c.tail(30))
	}
	return fmt.Sprintf("the log of %s, %s, ends with:\n%s", c.name, c.log, c.tail(10))
}

func (c *child) tail(lines int) string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// programs finds the real programs beside this one, or has them built.
func programs(ctx context.Context, dir string) (projector, api string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", "", err
	}
	found := filepath.Dir(self)
	if !exists(filepath.Join(found, "projector")) || !exists(filepath.Join(found, "api")) {
		found = filepath.Join(dir, "bin")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", found+string(filepath.Separator),
			"accountexport/cmd/projector", "accountexport/cmd/api").CombinedOutput()
		if err != nil {
			return "", "", fmt.Errorf("projector and api are not beside %s, and building them failed: %w\n%s", self, err, out)
		}
	}
	return filepath.Join(found, "projector"), filepath.Join(found, "api"), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

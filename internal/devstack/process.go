package devstack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"accountexport/internal/local/child"
)

// program is a running program of the stack, which ends with this process.
type program struct {
	*child.Process
	name string
	log  string // file with its output
}

// start starts a program with these settings added to the environment. Its output is
// appended to a file that has the name by which it is spoken of.
func start(bin, name, logDir string, settings []string, args ...string) (*program, error) {
	p := &program{name: name}
	p.log = filepath.Join(logDir, p.name+".log")
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), settings...)
	cmd.Stdout, cmd.Stderr = out, out
	if p.Process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// stop sends SIGTERM, and SIGKILL if the program has not ended after 12 s.
func (p *program) stop() {
	if p == nil {
		return
	}
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.Ended():
	case <-time.After(12 * time.Second):
		_ = p.Kill()
		<-p.Ended()
	}
}

// finish waits until a program that ends by itself has done its work, and stops it
// where ctx ends before.
func (s *stack) finish(ctx context.Context, p *program) error {
	select {
	case <-p.Ended():
		if p.Err() != nil {
			return s.failure(p)
		}
		return nil
	case <-ctx.Done():
		p.stop()
		return ctx.Err()
	}
}

// failure is the error of a program that ended although it should be running.
func (s *stack) failure(p *program) error {
	return fmt.Errorf("%s ended (%v); %s", p.name, p.Err(), s.logTail(p))
}

// logTail describes the log of a program and quotes its end, which is all that
// remains of it unless the folder is kept.
func (s *stack) logTail(p *program) string {
	if s.temporary() {
		return fmt.Sprintf("the log of %s (with --keep all of it stays) ends with:\n%s", p.name, p.tail(30))
	}
	return fmt.Sprintf("the log of %s, %s, ends with:\n%s", p.name, p.log, p.tail(10))
}

func (p *program) tail(lines int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

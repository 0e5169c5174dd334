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
// appended to a file.
func start(bin, logDir string, settings []string, args ...string) (*program, error) {
	p := &program{name: filepath.Base(bin)}
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

// programs finds projector and api in this program's folder, or builds them.
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

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs are the real binaries, built once for all tests.
var programs struct {
	once sync.Once
	dir  string
	err  error
}

// binary is the file of a program.
func binary(t testing.TB, name string) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "accountexport-e2e-"); programs.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", programs.dir+"/", "accountexport/cmd/projector", "accountexport/cmd/api",
			"accountexport/internal/local/natsserver/natsd").CombinedOutput()
		if err != nil {
			programs.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan error
}

// launch starts a program, which is killed when the test ends.
func launch(t testing.TB, name string, settings map[string]string, args ...string) *process {
	t.Helper()
	return launchFile(t, binary(t, name), settings, args...)
}

// launchFile does so with the program in a file.
func launchFile(t testing.TB, file string, settings map[string]string, args ...string) *process {
	t.Helper()
	p, err := spawn(file, settings, &lockedBuffer{}, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %v said:\n%s", filepath.Base(file), args, p.out.tail(4000))
		}
	})
	return p
}

// spawn starts a program that the caller has to end. Its output is added to out.
func spawn(file string, settings map[string]string, out *lockedBuffer, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(file, args...), out: out, done: make(chan error, 1)}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for k, v := range settings {
		p.cmd.Env = append(p.cmd.Env, k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p, nil
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.wait()
}

// wait waits for the end and returns the exit status, -1 after a signal. A program that does not
// end within eight minutes is made to print its goroutines.
func (p *process) wait() int {
	hung := time.AfterFunc(8*time.Minute, func() { p.signal(syscall.SIGQUIT) })
	defer hung.Stop()
	err := <-p.done
	p.done <- err
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	return s[max(0, len(s)-n):]
}

package bench

import (
	"bytes"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/child"
)

// projectorProcess is a running `projector run`, with the settings that it has by default.
type projectorProcess struct {
	*child.Process
	cmd *exec.Cmd
	out *output
}

// output is what a program has printed so far. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startProcess starts a command, which is killed when the benchmark ends.
func startProcess(b testing.TB, cmd *exec.Cmd) *projectorProcess {
	b.Helper()
	p := &projectorProcess{cmd: cmd, out: &output{}}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	var err error
	if p.Process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Kill(); <-p.Ended() })
	return p
}

// stop ends it as an operator does, and gives its CPU time and the most memory that it used.
func (p *projectorProcess) stop(b testing.TB) (cpu time.Duration, peak int64) {
	b.Helper()
	// Asked while it runs: what the system reports of a process that has ended is at least
	// what this one had when it started that.
	used, err := memoryOf(p.Pid)
	if err != nil {
		b.Error(err)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		b.Error(err)
	}
	cpu, _ = p.ended(b)
	return cpu, used.peak
}

// ended waits until it has ended by itself, without an error, and gives its CPU time and the
// most memory that it used, which is looked at while it runs.
func (p *projectorProcess) ended(b testing.TB) (cpu time.Duration, peak int64) {
	b.Helper()
	peak = p.peakOf(p.Ended())
	if err := p.Err(); err != nil {
		b.Fatalf("%v: %s", err, p.out)
	}
	state := p.cmd.ProcessState
	return state.UserTime() + state.SystemTime(), peak
}

// peakOf is the most memory that the program has used until then, which is now where
// that is nil. The operating system's figure after its end may be that of this
// benchmark, from which the program was forked.
func (p *projectorProcess) peakOf(until <-chan struct{}) (peak int64) {
	for {
		if m, err := memoryOf(p.Pid); err == nil {
			peak = max(peak, m.peak)
		}
		if until == nil {
			return peak
		}
		select {
		case <-until:
			return peak
		case <-time.After(2 * time.Millisecond):
		}
	}
}

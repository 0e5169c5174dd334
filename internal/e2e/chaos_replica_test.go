package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"accountexport/internal/local/tcpproxy"
)

// replica is one of several projectors, which is killed and started repeatedly and has its own
// networks.
type replica struct {
	name     string
	file     string
	settings map[string]string
	nats     []*tcpproxy.Proxy // one for each server
	pg       *tcpproxy.Proxy
	out      *lockedBuffer

	mu    sync.Mutex
	p     *process
	kills int
	ended []string // its output each time that it ended by itself
	all   sync.WaitGroup
}

// start starts the replica if it is not running. From then on it must not end by itself: whatever
// fails, it recovers without help.
func (r *replica) start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p != nil {
		return nil
	}
	p, err := spawn(r.file, r.settings, r.out, "run")
	if err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	r.p = p
	r.all.Go(func() {
		status := p.wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.p == p {
			r.p = nil
			r.ended = append(r.ended, fmt.Sprintf("%s ended by itself, exit %d: %s", r.name, status, r.out.tail(1000)))
		}
	})
	return nil
}

// kill ends it with SIGKILL.
func (r *replica) kill() {
	r.mu.Lock()
	p := r.p
	r.p = nil
	if p != nil {
		r.kills++
	}
	r.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

// term asks it to end, and returns its exit status.
func (r *replica) term() int {
	r.mu.Lock()
	p := r.p
	r.p = nil
	r.mu.Unlock()
	if p == nil {
		return 0
	}
	p.signal(syscall.SIGTERM)
	return p.wait()
}

func (r *replica) signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p != nil {
		r.p.signal(s)
	}
}

// is reports whether a checkpoint's owner, which begins with "host/pid", is this replica.
func (r *replica) is(owner string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, pid, _ := strings.Cut(owner, "/")
	pid, _, _ = strings.Cut(pid, "-")
	return r.p != nil && pid == strconv.Itoa(r.p.cmd.Process.Pid)
}

// check reports every time that it ended by itself.
func (r *replica) check(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.ended {
		t.Error(e)
	}
}

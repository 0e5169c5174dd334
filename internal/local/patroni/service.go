package patroni

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"accountexport/internal/local/child"
)

// service is a process of the cluster.
type service struct {
	*child.Process
	name string
	out  *output
}

// run starts a program. When this process dies it is asked to end, and a Patroni then
// ends its PostgreSQL, too.
func (c *Cluster) run(name, program string, args ...string) (*service, error) {
	s := &service{name: name, out: &output{}}
	cmd := exec.Command(program, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	var err error
	s.Process, err = child.Start(cmd, syscall.SIGTERM)
	return s, err
}

// kill ends the process with SIGKILL and waits for its end.
func (s *service) kill() {
	if s == nil || s.Process == nil {
		return
	}
	_ = s.Kill()
	<-s.Ended()
}

func (s *service) said(most int) string {
	if s == nil {
		return ""
	}
	return s.out.tail(most)
}

// output collects what a process prints. It is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) tail(most int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.b.Bytes()
	return string(b[max(0, len(b)-most):])
}

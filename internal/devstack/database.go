package devstack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/internal/local/postgres"
)

// database is one of those that the stack uses.
type database struct {
	url         string
	description string // without the password
	created     string // its name, if it was created on the server of DATABASE_URL
}

// openDatabases starts PostgreSQL, where the control plane gets a database beside that
// of the read model. If DATABASE_URL names a server, it creates two databases on that
// one instead, named after the folder, since their contents belong to the stream in that
// folder. Nothing in the named database is touched.
func (s *stack) openDatabases(ctx context.Context) (err error) {
	if s.opt.DatabaseURL == "" {
		if s.pg, err = postgres.Start(ctx, postgres.Options{Dir: s.postgresDir(), Durable: true}); err != nil {
			return err
		}
		s.database = database{url: s.pg.URL(), description: s.pg.URL()}
		s.outbox.url = withDatabase(s.pg.URL(), "control_plane")
		s.outbox.description = s.outbox.url
		return createDatabase(ctx, s.pg.URL(), "control_plane")
	}
	name := fmt.Sprintf("devstack_%x", sha256.Sum256([]byte(s.dir)))[:len("devstack_")+12]
	if s.database, err = s.createBeside(ctx, name); err != nil {
		return err
	}
	s.outbox, err = s.createBeside(ctx, name+"_control_plane")
	return err
}

// createBeside creates a database on the server of DATABASE_URL.
func (s *stack) createBeside(ctx context.Context, name string) (database, error) {
	url := withDatabase(s.opt.DatabaseURL, name)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return database{}, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if err := createDatabase(ctx, s.opt.DatabaseURL, name); err != nil {
		return database{}, fmt.Errorf("make a database on the PostgreSQL of DATABASE_URL, whose role has to have CREATEDB: %w", err)
	}
	return database{url, fmt.Sprintf("database %s at %s:%d, beside that of DATABASE_URL", name, cfg.Host, cfg.Port), name}, nil
}

// createDatabase creates a database unless an earlier run did.
func createDatabase(ctx context.Context, server, name string) error {
	err := execute(ctx, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == "42P04" { // duplicate_database
		return nil
	}
	return err
}

func (s *stack) postgresDir() string { return filepath.Join(s.dir, "postgres") }

// withDatabase replaces the database in a URL, or in the keyword/value form, where
// the last value counts.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}

// execute runs a statement in a database.
func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// closeDatabases stops PostgreSQL, or drops the databases that a temporary run created.
func (s *stack) closeDatabases(ctx context.Context) {
	if s.pg != nil {
		_ = s.pg.Stop(ctx)
	}
	if !s.temporary() {
		return
	}
	for _, d := range []database{s.database, s.outbox} {
		if d.created != "" {
			_ = execute(ctx, s.opt.DatabaseURL, "DROP DATABASE IF EXISTS "+d.created+" WITH (FORCE)")
		}
	}
}

// postgresEnded reports whether the PostgreSQL that was started here has ended: its
// pid file, or the process named in it, is gone.
func (s *stack) postgresEnded() bool {
	if s.pg == nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join(s.postgresDir(), "postmaster.pid"))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

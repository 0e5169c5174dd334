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

// openDatabase starts PostgreSQL. If DATABASE_URL names a server, it creates a
// database on that one instead, named after the folder, since its documents belong to
// the stream in that folder. Nothing in the named database is touched.
func (s *stack) openDatabase(ctx context.Context) (err error) {
	if s.opt.DatabaseURL == "" {
		if s.pg, err = postgres.Start(ctx, postgres.Options{Dir: s.postgresDir(), Durable: true}); err != nil {
			return err
		}
		s.database, s.databaseDescription = s.pg.URL(), s.pg.URL()
		return nil
	}
	name := fmt.Sprintf("devstack_%x", sha256.Sum256([]byte(s.dir)))[:len("devstack_")+12]
	s.database = withDatabase(s.opt.DatabaseURL, name)
	cfg, err := pgx.ParseConfig(s.database)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	s.databaseDescription = fmt.Sprintf("database %s at %s:%d, beside that of DATABASE_URL", name, cfg.Host, cfg.Port)
	err = s.execute(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "42P04": // duplicate_database: kept by an earlier run
	case err != nil:
		return fmt.Errorf("make a database on the PostgreSQL of DATABASE_URL, whose role has to have CREATEDB: %w", err)
	}
	s.created = name
	return nil
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

// execute runs a statement in the database of DATABASE_URL.
func (s *stack) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.opt.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// closeDatabase stops PostgreSQL, or drops the database that a temporary run created.
func (s *stack) closeDatabase(ctx context.Context) {
	if s.pg != nil {
		_ = s.pg.Stop(ctx)
	}
	if s.created != "" && s.temporary() {
		_ = s.execute(ctx, "DROP DATABASE IF EXISTS "+s.created+" WITH (FORCE)")
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

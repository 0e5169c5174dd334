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

// openDatabase starts PostgreSQL. On one that was given it makes a database of
// its own instead, named after the folder: the documents belong to the stream
// in that folder, and nothing that is in the given database is touched.
func (s *stack) openDatabase(ctx context.Context) (err error) {
	if s.opt.DatabaseURL == "" {
		if s.pg, err = postgres.Start(ctx, postgres.Options{Dir: s.postgresDir(), Durable: true}); err != nil {
			return err
		}
		s.database, s.databaseShown = s.pg.URL(), s.pg.URL()
		return nil
	}
	name := fmt.Sprintf("devstack_%x", sha256.Sum256([]byte(s.dir)))[:len("devstack_")+12]
	s.database = withDatabase(s.opt.DatabaseURL, name)
	cfg, err := pgx.ParseConfig(s.database)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	s.databaseShown = fmt.Sprintf("database %s at %s:%d, beside that of DATABASE_URL", name, cfg.Host, cfg.Port)
	err = s.execute(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'")
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "42P04": // duplicate_database: kept by an earlier run
	case err != nil:
		return fmt.Errorf("make a database on the PostgreSQL of DATABASE_URL, whose role has to have CREATEDB: %w", err)
	}
	s.made = name
	return nil
}

func (s *stack) postgresDir() string { return filepath.Join(s.dir, "postgres") }

// withDatabase names another database in a URL, or in the keyword/value form,
// where the last one counts.
func withDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return dsn + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}

// execute runs a statement in the database that was given.
func (s *stack) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.opt.DatabaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// closeDatabase ends PostgreSQL, or drops the database that a temporary run
// made.
func (s *stack) closeDatabase(ctx context.Context) {
	if s.pg != nil {
		_ = s.pg.Stop(ctx)
	}
	if s.made != "" && s.temporary() {
		_ = s.execute(ctx, "DROP DATABASE IF EXISTS "+s.made+" WITH (FORCE)")
	}
}

// postgresEnded says whether the PostgreSQL that was started here is gone: its
// pid file, or the process that the file names.
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

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/settings"
	"accountexport/readmodel/connect"
)

// database is the API's connection to its database, which need not be reachable when
// the API starts.
type database struct {
	pool      *pgxpool.Pool
	connector *connect.Connector
	log       *slog.Logger
	warned    bool // that the pooler's mode is not known; for newDatabase and check alone

	// found is what the connection turned out to be. It is written once, by settle,
	// before known is closed; other goroutines read it only after that.
	found *connect.ConnectionInfo
	known chan struct{}
}

// newDatabase opens the pool, whose statements are traced where they are to be. If the database can be reached, and what lies between
// does not match the settings, the error is [connect.ErrMisconfigured].
func newDatabase(ctx context.Context, s settings.API, log *slog.Logger, statements pgx.QueryTracer) (*database, error) {
	cfg, err := connect.PoolConfig(string(s.DatabaseURL))
	if err != nil {
		return nil, errors.New("DATABASE_URL is not right") // the settings were checked before
	}
	d := &database{log: log, known: make(chan struct{}), connector: &connect.Connector{Purpose: connect.Reading, Pool: cfg.ConnConfig}}
	cfg.ConnConfig.Tracer = statements
	cfg.AfterConnect = d.connector.AfterConnect
	if s.DatabaseDirect != "" {
		direct, err := connect.PoolConfig(string(s.DatabaseDirect))
		if err != nil {
			return nil, errors.New("DATABASE_DIRECT_URL is not right")
		}
		d.connector.Direct = direct.ConnConfig
	}
	found, err := d.connector.Check(ctx)
	switch {
	case errors.Is(err, connect.ErrMisconfigured):
		return nil, err
	case err == nil && found.PoolMode == connect.UnknownPooling: // check looks again
		d.connector.WarnUncertain(log, found)
		d.warned = true
	case err == nil:
		d.settle(found)
	}
	extra := 1
	if d.connector.Direct != nil {
		extra = 0
	}
	d.pool, err = d.connector.OpenPool(ctx, cfg, connect.PoolSizing{Max: int(cfg.MaxConns), Min: 2, Extra: extra,
		Explicit: strings.Contains(string(s.DatabaseURL), "pool_max_conns")}, log)
	if err != nil && !errors.Is(err, connect.ErrMisconfigured) {
		err = fmt.Errorf("database: %w", err)
	}
	return d, err
}

// settle records what the connection turned out to be, and logs what that means for
// clients.
func (d *database) settle(found connect.ConnectionInfo) {
	if !d.warned {
		d.connector.WarnUncertain(d.log, found)
	}
	if !found.Sessions {
		d.log.Info("a pooler of transactions is between this program and PostgreSQL: who waits for a position is told up to 100 ms later than with DATABASE_DIRECT_URL")
	}
	d.found = &found
	close(d.known)
}

// check waits until the database can be reached, and returns an error if it cannot be
// used.
func (d *database) check(ctx context.Context) error {
	if d.found != nil {
		return nil
	}
	found, err := d.connector.CheckUntilReachable(ctx)
	if err != nil {
		return fmt.Errorf("the database has come: %w", err)
	}
	d.settle(found)
	return nil
}

// sessions reports whether connections keep their server process. It waits until that
// is known, and returns false if ctx ends first.
func (d *database) sessions(ctx context.Context) bool {
	select {
	case <-d.known:
		return d.found.Sessions
	case <-ctx.Done():
		return false
	}
}

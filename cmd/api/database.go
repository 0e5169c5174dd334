package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/settings"
	"accountexport/readmodel/connect"
)

// database is how the API comes to its database, which need not be there when
// it starts.
type database struct {
	pool  *pgxpool.Pool
	link  *connect.Connector
	log   *slog.Logger
	found *connect.ConnectionInfo // where it was there
	known chan struct{}           // closed once it is
}

// newDatabase opens the pool. Where the database is there and what is in between
// does not go with the settings, the error is [connect.ErrMisconfigured].
func newDatabase(ctx context.Context, s settings.API, log *slog.Logger) (*database, error) {
	cfg, err := connect.PoolConfig(string(s.DatabaseURL))
	if err != nil {
		return nil, errors.New("DATABASE_URL is not right") // as the settings have found it to be
	}
	d := &database{log: log, known: make(chan struct{}), link: &connect.Connector{Purpose: connect.Reading, Pool: cfg.ConnConfig}}
	cfg.AfterConnect = d.link.AfterConnect
	if s.DatabaseDirect != "" {
		past, err := connect.PoolConfig(string(s.DatabaseDirect))
		if err != nil {
			return nil, errors.New("DATABASE_DIRECT_URL is not right")
		}
		d.link.Direct = past.ConnConfig
	}
	found, err := d.link.Check(ctx)
	switch {
	case errors.Is(err, connect.ErrMisconfigured):
		return nil, err
	case err == nil:
		d.settle(found)
	}
	listens := 1
	if d.link.Direct != nil {
		listens = 0
	}
	d.pool, err = d.link.OpenPool(ctx, cfg, connect.PoolSizing{Max: int(cfg.MaxConns), Min: 2, Extra: listens,
		Explicit: strings.Contains(string(s.DatabaseURL), "pool_max_conns")}, log)
	if err != nil && !errors.Is(err, connect.ErrMisconfigured) {
		err = fmt.Errorf("database: %w", err)
	}
	return d, err
}

// settle notes what the database has turned out to be, and says what that means.
func (d *database) settle(found connect.ConnectionInfo) {
	d.link.WarnUncertain(d.log, found)
	if !found.Sessions {
		d.log.Info("a pooler of transactions is between this program and PostgreSQL: who waits for a position is told up to 100 ms later than with DATABASE_DIRECT_URL")
	}
	d.found = &found
	close(d.known)
}

// check waits until the database is there, and refuses one that cannot be used.
func (d *database) check(ctx context.Context) error {
	if d.found != nil {
		return nil
	}
	found, err := d.link.CheckUntilReachable(ctx)
	if err != nil {
		return fmt.Errorf("the database has come: %w", err)
	}
	d.settle(found)
	return nil
}

// sessions tells whether connections keep their server process, once that is
// known.
func (d *database) sessions(ctx context.Context) bool {
	select {
	case <-d.known:
		return d.found.Sessions
	case <-ctx.Done():
		return false
	}
}

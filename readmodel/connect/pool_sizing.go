package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/internal/pg"
)

// connections is how many connections a server lets a user have, and how many are
// taken, for the server, the database and the user. A limit below 0 is none.
type connections struct {
	server, serverUsed     int
	database, databaseUsed int
	user, userUsed         int
}

// free is how many more there may be, and what limits them.
func (c connections) free() (n int, by string) {
	n, by = c.server-c.serverUsed, fmt.Sprintf("the server lets this user have %d connections (max_connections, without those that are reserved), and %d are taken", c.server, c.serverUsed)
	if left := c.database - c.databaseUsed; c.database >= 0 && left < n {
		n, by = left, fmt.Sprintf("the database has a limit of %d connections (CONNECTION LIMIT), and %d are taken", c.database, c.databaseUsed)
	}
	if left := c.user - c.userUsed; c.user >= 0 && left < n {
		n, by = left, fmt.Sprintf("the user has a limit of %d connections (CONNECTION LIMIT), and %d are taken", c.user, c.userUsed)
	}
	return max(0, n), by
}

// What a program leaves of the connections that are free.
const (
	reservedConnections = 3 // for operators, as `projector status` needs
	freeFraction        = 4 // a program takes one in so many of those that are free, for replicas that are yet to start
)

// PoolSizing is how many connections a program wants.
type PoolSizing struct {
	Max, Min int  // of its pool
	Extra    int  // beside the pool: sessions of its own
	Explicit bool // Max is what its user has set: so many are opened where there is room
}

// size is how many connections the pool is to have; an [ErrMisconfigured] where there is
// no room for the least.
func (s PoolSizing) size(found connections) (int, error) {
	free, by := found.free()
	if free < s.Min+s.Extra {
		return 0, misconfigured(fmt.Sprintf("there is no room for this program's connections: it needs %d at least, and %s. "+
			"A higher limit, fewer programs, or smaller pools of the others (pool_max_conns) would do", s.Min+s.Extra, by))
	}
	most := free - reservedConnections
	if !s.Explicit {
		most /= freeFraction
	}
	most -= s.Extra
	return min(s.Max, max(s.Min, most)), nil
}

const (
	connectionTimeout       = 5 * time.Second // for connections that are just being closed, and for other programs that start
	connectionRetryInterval = 200 * time.Millisecond
)

// OpenAPIPool opens a pool for as many connections as there is room for, and opens all of
// them at once: so each program that starts sees what the others take. Programs open
// their pools one after the other. Where a pooler is in between, its limits count;
// where the server cannot be reached, nothing is known. In both cases the pool has
// what is wanted, and connects when it is first used. An [ErrMisconfigured] is that
// there is no room.
func (c *Connector) OpenPool(ctx context.Context, cfg *pgxpool.Config, sizing PoolSizing, log *slog.Logger) (*pgxpool.Pool, error) {
	cfg.MaxConns = int32(sizing.Max)
	if !c.unpooled {
		return pgxpool.NewWithConfig(ctx, cfg)
	}
	conn, err := connectWhenFree(ctx, c.Pool)
	switch {
	case errors.Is(err, ErrMisconfigured):
		return nil, forSetting("DATABASE_URL", err)
	case err != nil:
		return pgxpool.NewWithConfig(ctx, cfg)
	}
	defer pg.CloseWithTimeout(ctx, conn) // which also releases the lock
	size, err := c.claimConnections(ctx, conn, sizing)
	if err != nil {
		return nil, forSetting("DATABASE_URL", err)
	}
	if size < sizing.Max {
		log.Warn("there is room for fewer connections to PostgreSQL than this program would have", "connections", size+sizing.Extra, "wanted", sizing.Max+sizing.Extra)
	}
	cfg.MaxConns, cfg.MinConns, cfg.HealthCheckPeriod = int32(size), int32(size), 5*time.Second
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err == nil {
		awaitConnections(ctx, pool, size)
	}
	return pool, err
}

// claimConnections waits for the program's turn and for room. After
// [connectionTimeout] it goes on without a turn.
func (c *Connector) claimConnections(ctx context.Context, conn *pgx.Conn, sizing PoolSizing) (size int, err error) {
	deadline, locked := time.Now().Add(connectionTimeout), false
	for {
		if !locked {
			_ = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('accountexport connections'))`, pgx.QueryExecModeExec).Scan(&locked)
		}
		s, infoErr := readServerInfo(ctx, conn)
		if infoErr != nil {
			return sizing.Max, nil // using the pool will meet the same error, and report it
		}
		size, err = sizing.size(s.connections)
		if late := time.Now().After(deadline); late || locked && err == nil {
			return size, err
		}
		pg.Sleep(ctx, connectionRetryInterval)
	}
}

// connectWhenFree connects, and waits a moment for a connection to come free. An
// [ErrMisconfigured] is that none has.
func connectWhenFree(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	for deadline := time.Now().Add(connectionTimeout); ; pg.Sleep(ctx, connectionRetryInterval) {
		attempt, cancel := context.WithTimeout(ctx, detectTimeout)
		conn, err := pgx.ConnectConfig(attempt, cfg.Copy())
		cancel()
		var pg *pgconn.PgError
		switch {
		case err == nil:
			return conn, nil
		case !errors.As(err, &pg) || pg.Code != "53300": // too_many_connections
			return nil, fmt.Errorf("connect: %w", err)
		case time.Now().After(deadline) || ctx.Err() != nil:
			return nil, misconfigured(fmt.Sprintf("there is no room for this program's connections, says the server: %s", pg.Message))
		}
	}
}

// awaitConnections waits, a moment at most, until the pool has all its connections.
func awaitConnections(ctx context.Context, pool *pgxpool.Pool, size int) {
	ctx, cancel := context.WithTimeout(ctx, connectionTimeout)
	defer cancel()
	for int(pool.Stat().TotalConns()-pool.Stat().ConstructingConns()) < size && ctx.Err() == nil {
		pg.Sleep(ctx, 5*time.Millisecond)
	}
}

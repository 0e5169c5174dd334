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

// connections is how many a server lets a user have, and how many there are, for
// the server, the database and the user. A limit below 0 is none.
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
	spareConnections = 3 // for whoever looks at it, as `projector status` does
	freeFraction     = 4 // at most one in so many, for replicas that are yet to come
)

// PoolSizing is how many connections a program wants.
type PoolSizing struct {
	Max, Min int  // of its pool
	Extra    int  // the pool: sessions of its own
	Explicit bool // Wanted is what its user said: as many, where there is room
}

// size is that of the pool; an [ErrMisconfigured] where there is no room for the least.
func (c PoolSizing) size(of connections) (int, error) {
	free, by := of.free()
	if free < c.Min+c.Extra {
		return 0, misconfigured(fmt.Sprintf("there is no room for this program's connections: it needs %d at least, and %s. "+
			"A higher limit, fewer programs, or smaller pools of the others (pool_max_conns) would do", c.Min+c.Extra, by))
	}
	most := free - spareConnections
	if !c.Explicit {
		most /= freeFraction
	}
	most -= c.Extra
	return min(c.Max, max(c.Min, most)), nil
}

const (
	connectionWait          = 5 * time.Second // for connections that are just being ended, and for others that begin
	connectionRetryInterval = 200 * time.Millisecond
)

// OpenPool opens a pool for as many connections as there is room for, and all of
// them: so each program that begins sees what the others take. One begins after
// the other. Where a pooler is in between its limits count, and where the server
// cannot be reached nothing is known of it: then the pool has what is wanted, and
// connects when first used. An [ErrMisconfigured] is that there is no room.
func (l *Connector) OpenPool(ctx context.Context, cfg *pgxpool.Config, c PoolSizing, log *slog.Logger) (*pgxpool.Pool, error) {
	cfg.MaxConns = int32(c.Max)
	if !l.unpooled {
		return pgxpool.NewWithConfig(ctx, cfg)
	}
	conn, err := connectWhenFree(ctx, l.Pool)
	switch {
	case errors.Is(err, ErrMisconfigured):
		return nil, named("DATABASE_URL", err)
	case err != nil:
		return pgxpool.NewWithConfig(ctx, cfg)
	}
	defer pg.CloseWithTimeout(ctx, conn) // and so the lock goes
	size, err := l.claim(ctx, conn, c)
	if err != nil {
		return nil, named("DATABASE_URL", err)
	}
	if size < c.Max {
		log.Warn("there is room for fewer connections to PostgreSQL than this program would have", "connections", size+c.Extra, "wanted", c.Max+c.Extra)
	}
	cfg.MaxConns, cfg.MinConns, cfg.HealthCheckPeriod = int32(size), int32(size), 5*time.Second
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err == nil {
		opened(ctx, pool, size)
	}
	return pool, err
}

// claim waits for its turn and for room; a turn that does not come is done
// without.
func (l *Connector) claim(ctx context.Context, conn *pgx.Conn, c PoolSizing) (size int, err error) {
	deadline, mine := time.Now().Add(connectionWait), false
	for {
		if !mine {
			_ = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('accountexport connections'))`, pgx.QueryExecModeExec).Scan(&mine)
		}
		s, gone := readServerInfo(ctx, conn)
		if gone != nil {
			return c.Max, nil // whatever it is, it is told when the pool is used
		}
		size, err = c.size(s.connections)
		if late := time.Now().After(deadline); late || mine && err == nil {
			return size, err
		}
		pg.Sleep(ctx, connectionRetryInterval)
	}
}

// connectWhenFree connects, and waits a moment for a connection to come free. An
// [ErrMisconfigured] is that none has.
func connectWhenFree(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	for deadline := time.Now().Add(connectionWait); ; pg.Sleep(ctx, connectionRetryInterval) {
		one, cancel := context.WithTimeout(ctx, detectTimeout)
		conn, err := pgx.ConnectConfig(one, cfg.Copy())
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

// opened waits, a moment at most, until the pool has all its connections.
func opened(ctx context.Context, pool *pgxpool.Pool, size int) {
	ctx, cancel := context.WithTimeout(ctx, connectionWait)
	defer cancel()
	for int(pool.Stat().TotalConns()-pool.Stat().ConstructingConns()) < size && ctx.Err() == nil {
		pg.Sleep(ctx, 5*time.Millisecond)
	}
}

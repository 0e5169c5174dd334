package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/connect"
)

// connectTimeout is how long commands wait for NATS; `run` waits for ever.
const connectTimeout = 20 * time.Second

// connectStream connects to JetStream.
func (p *program) connectStream(ctx context.Context, log *slog.Logger) (*stream.Client, error) {
	return p.connectWithin(ctx, log, connectTimeout)
}

// connectReader connects to JetStream, and fails where what reading takes is not
// there and waiting does not mend it. What else keeps the stream from being read
// is told by who reads.
func (p *program) connectReader(ctx context.Context, log *slog.Logger) (*stream.Client, error) {
	client, err := p.connectStream(ctx, log)
	if err == nil {
		err = p.checkReadable(ctx, client)
	}
	return client, err
}

func (p *program) checkReadable(ctx context.Context, client *stream.Client) error {
	if err := client.CanRead(ctx); errors.Is(err, stream.ErrPermission) || errors.Is(err, stream.ErrNoReader) {
		client.Close()
		return err
	}
	return nil
}

func (p *program) connectWithin(ctx context.Context, log *slog.Logger, patience time.Duration) (*stream.Client, error) {
	return stream.Connect(ctx, stream.Config{ConnectTimeout: patience,
		URL: string(p.cfg.NATSURL), Stream: string(p.cfg.Stream), Name: "accountexport " + p.command,
		Creds: string(p.cfg.NATSCreds), NKey: string(p.cfg.NATSNKey), User: string(p.cfg.NATSUser), Password: string(p.cfg.NATSPassword),
		Token: string(p.cfg.NATSToken), CA: string(p.cfg.NATSCA), Cert: string(p.cfg.NATSCert), Key: string(p.cfg.NATSKey),
		TLSFirst: p.cfg.TLSFirst, Domain: string(p.cfg.NATSJSDomain), Prefix: string(p.cfg.NATSJSPrefix), InboxPrefix: p.cfg.InboxPrefix,
		PrefetchBytes: min(16<<20, int(p.cfg.MemoryLimit)/32), Logger: log})
}

// target connects to both, and gives what ends the connections.
func (p *program) target(ctx context.Context) (on acts.Target, done func(), err error) {
	client, err := p.connectReader(ctx, p.cfg.Logger(p.err))
	if err != nil {
		return on, nil, err
	}
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		client.Close()
		return on, nil, err
	}
	return acts.NewTarget(client, pool), func() {
		pool.Close()
		client.Close()
	}, nil
}

// connectDatabase opens a pool for what needs no session of its own; it connects
// when first used. Where the database can be reached and what is in between does
// not go with the settings, the error is [connect.ErrMisconfigured].
func (p *program) connectDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	db, err := p.connect(ctx, connect.Inspecting)
	if err != nil {
		return nil, err
	}
	return db.pool, nil
}

// connect does the same for more than looking.
func (p *program) connect(ctx context.Context, purpose connect.Purpose) (*database, error) {
	db, err := p.database("accountexport projector", purpose)
	if err != nil {
		return nil, err
	}
	found, err := db.check(ctx, p.cfg.Logger(p.err))
	if errors.Is(err, connect.ErrMisconfigured) {
		return nil, err
	}
	if err == nil && purpose == connect.Writing {
		if err := found.CheckWritable(); err != nil {
			return nil, fmt.Errorf("DATABASE_URL: %w", err)
		}
	}
	if purpose == connect.Writing { // a rebuild's, which has a pool of its own beside
		return db, db.claim(ctx, connect.PoolSizing{Min: 3}, p.cfg.Logger(p.err))
	}
	return db, db.open(ctx)
}

// database is how the program comes to it.
type database struct {
	cfg  *pgxpool.Config
	told bool // how many connections the pool has at most
	link *connect.Connector
	pool *pgxpool.Pool // once it was opened
}

// database has the server know the connections by the name.
func (p *program) database(name string, purpose connect.Purpose) (*database, error) {
	cfg, err := pgxpool.ParseConfig(string(p.cfg.DatabaseURL))
	if err != nil {
		return nil, errors.New("DATABASE_URL is not right") // as the settings have found it to be
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	told := strings.Contains(string(p.cfg.DatabaseURL), "pool_max_conns")
	if !told {
		cfg.MaxConns = int32(2*p.lanes() + 4) // a lane commits and loads; audit, metrics and refolding want some
	}
	// A connection that has fallen silent is not waited on for ever.
	cfg.PingTimeout = 2 * time.Second
	cfg.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	db := &database{cfg: cfg, told: told, link: &connect.Connector{Purpose: purpose, Pool: cfg.ConnConfig}}
	cfg.AfterConnect = db.link.AfterConnect
	if p.cfg.DatabaseDirect != "" {
		past, err := pgxpool.ParseConfig(string(p.cfg.DatabaseDirect))
		if err != nil {
			return nil, errors.New("DATABASE_DIRECT_URL is not right")
		}
		db.link.Direct = past.ConnConfig
		db.link.Direct.RuntimeParams["application_name"] = name
		db.link.Direct.DialFunc = cfg.ConnConfig.DialFunc
	}
	return db, nil
}

// open opens the pool.
func (db *database) open(ctx context.Context) (err error) {
	if db.pool, err = pgxpool.NewWithConfig(ctx, db.cfg); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// claim opens the pool with as many connections as there is room for.
func (db *database) claim(ctx context.Context, c connect.PoolSizing, log *slog.Logger) (err error) {
	c.Max, c.Explicit = int(db.cfg.MaxConns), db.told
	if db.pool, err = db.link.OpenPool(ctx, db.cfg, c, log); err != nil && !errors.Is(err, connect.ErrMisconfigured) {
		err = fmt.Errorf("database: %w", err)
	}
	return err
}

// check is [connect.ErrMisconfigured] where the database cannot be used so, and another
// error where it cannot be reached.
func (db *database) check(ctx context.Context, log *slog.Logger) (found connect.ConnectionInfo, err error) {
	if found, err = db.link.Check(ctx); err == nil {
		db.link.WarnUncertain(log, found)
	}
	return found, err
}

// await does so once the database is there.
func (db *database) await(ctx context.Context, log *slog.Logger) error {
	found, err := db.link.CheckUntilReachable(ctx)
	if err == nil {
		db.link.WarnUncertain(log, found)
	}
	return err
}

// direct is how to connect for a session.
func (db *database) direct() *pgx.ConnConfig {
	if db.link.Direct != nil {
		return db.link.Direct
	}
	return db.link.Pool
}

// bound keeps the process within MEMORY_LIMIT: the collector works harder when
// what the runtime counts comes near it. What it does not count, the program's
// own pages above all, has the rest. A lower GOMEMLIMIT stays.
func (p *program) bound() {
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), int64(p.cfg.MemoryLimit)/10*9-16<<20))
}

// batch is the bound of a batch in each of so many lanes.
func (p *program) batch(lanes int) engine.Bound {
	return engine.Bound{Events: int(p.cfg.BatchEvents), Bytes: int(p.cfg.BatchBytes) / lanes}
}

// read is the bound of one read, of which five are held where the database is
// slow: read, handed over, two waiting for a lane, and one being folded.
func (p *program) read() engine.Bound {
	return engine.Bound{Events: 4096, Bytes: min(4<<20, int(p.cfg.MemoryLimit)/128)}
}

// lanes follows the cores where it is not set: PostgreSQL and NATS want some.
func (p *program) lanes() int {
	if p.cfg.Lanes > 0 {
		return int(p.cfg.Lanes)
	}
	return max(1, runtime.NumCPU()/2)
}

// replicaName names this run of the program, and no other one, in ASCII: the
// server's list of connections has no other characters.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, host)
	return fmt.Sprintf("%.24s/%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6]))
}

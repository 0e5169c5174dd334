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

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/connect"
)

// connectTimeout is how long commands wait for NATS. `projector run` waits without
// a limit.
const connectTimeout = 20 * time.Second

// connectStream connects to JetStream.
func (p *program) connectStream(ctx context.Context, log *slog.Logger) (*stream.Client, error) {
	return p.connectWithin(ctx, log, connectTimeout)
}

// connectReader connects to JetStream, and fails where reading is impossible and
// waiting would not help, see [program.checkReadable].
func (p *program) connectReader(ctx context.Context, log *slog.Logger) (*stream.Client, error) {
	client, err := p.connectStream(ctx, log)
	if err == nil {
		err = p.checkReadable(ctx, client)
	}
	return client, err
}

// checkReadable closes the connection and fails where its user lacks a permission
// that reading takes, or the server cannot read for it. Other reasons may pass, and
// come up when the stream is read.
func (p *program) checkReadable(ctx context.Context, client *stream.Client) error {
	if err := client.CanRead(ctx); errors.Is(err, stream.ErrPermission) || errors.Is(err, stream.ErrNoReader) {
		client.Close()
		return err
	}
	return nil
}

// connectWithin connects to JetStream within a time limit; 0 is none.
func (p *program) connectWithin(ctx context.Context, log *slog.Logger, limit time.Duration) (*stream.Client, error) {
	return stream.Connect(ctx, stream.Config{ConnectTimeout: limit,
		URL: string(p.cfg.NATSURL), Stream: string(p.cfg.Stream), Name: "accountexport " + p.command,
		Creds: string(p.cfg.NATSCreds), NKey: string(p.cfg.NATSNKey), User: string(p.cfg.NATSUser), Password: string(p.cfg.NATSPassword),
		Token: string(p.cfg.NATSToken), CA: string(p.cfg.NATSCA), Cert: string(p.cfg.NATSCert), Key: string(p.cfg.NATSKey),
		TLSFirst: p.cfg.TLSFirst, Domain: string(p.cfg.NATSJSDomain), Prefix: string(p.cfg.NATSJSPrefix), InboxPrefix: p.cfg.InboxPrefix,
		PrefetchBytes: min(16<<20, int(p.cfg.MemoryLimit)/32), Logger: log})
}

// connectDatabase opens a pool for commands that need no session of their own. The
// pool connects when it is first used. Where the database can be reached, and the
// pooler or server in between does not work with these settings, the error is
// [connect.ErrMisconfigured].
func (p *program) connectDatabase(ctx context.Context) (*pgxpool.Pool, error) {
	db, err := p.connect(ctx, connect.Inspecting)
	if err != nil {
		return nil, err
	}
	return db.pool, nil
}

// connect is connectDatabase for any purpose. For writing, the database also has to
// accept writes, and the pool is as large as there is room for.
func (p *program) connect(ctx context.Context, purpose connect.Purpose) (*database, error) {
	db, err := p.database("accountexport projector", purpose)
	if err != nil {
		return nil, err
	}
	found, err := db.check(ctx, p.logger(p.err))
	if errors.Is(err, connect.ErrMisconfigured) {
		return nil, err
	}
	if err == nil && purpose == connect.Writing {
		if err := found.CheckWritable(); err != nil {
			return nil, fmt.Errorf("DATABASE_URL: %w", err)
		}
	}
	if purpose == connect.Writing { // a rebuild's, which has a pool of its own beside
		return db, db.claim(ctx, connect.PoolSizing{Min: 3}, p.logger(p.err))
	}
	return db, db.open(ctx)
}

// database is how this program connects to the database.
type database struct {
	cfg      *pgxpool.Config
	explicit bool // whether DATABASE_URL sets the size of the pool
	link     *connect.Connector
	pool     *pgxpool.Pool // nil until open or claim
}

// database reads the settings. The server lists the connections under the name.
func (p *program) database(name string, purpose connect.Purpose) (*database, error) {
	cfg, err := pgxpool.ParseConfig(string(p.cfg.DatabaseURL))
	if err != nil {
		return nil, errors.New("DATABASE_URL is not right") // never happens: the settings were judged before
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	cfg.ConnConfig.Tracer = p.tracing.Statements()
	explicit := strings.Contains(string(p.cfg.DatabaseURL), "pool_max_conns")
	if !explicit {
		cfg.MaxConns = int32(2*p.lanes() + 4) // each lane commits and loads; the rest is for audit, metrics and refolding
	}
	// A connection whose peer has gone silent is noticed, and replaced.
	cfg.PingTimeout = 2 * time.Second
	cfg.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	connect.LimitHosts(cfg.ConnConfig)
	db := &database{cfg: cfg, explicit: explicit, link: &connect.Connector{Purpose: purpose, Pool: cfg.ConnConfig}}
	cfg.AfterConnect = db.link.AfterConnect
	if p.cfg.DatabaseDirect != "" {
		direct, err := pgxpool.ParseConfig(string(p.cfg.DatabaseDirect))
		if err != nil {
			return nil, errors.New("DATABASE_DIRECT_URL is not right")
		}
		db.link.Direct = direct.ConnConfig
		db.link.Direct.RuntimeParams["application_name"] = name
		db.link.Direct.Tracer = cfg.ConnConfig.Tracer
		db.link.Direct.DialFunc = cfg.ConnConfig.DialFunc
		connect.LimitHosts(db.link.Direct)
	}
	return db, nil
}

// open opens the pool in the size that the settings ask for.
func (db *database) open(ctx context.Context) (err error) {
	if db.pool, err = pgxpool.NewWithConfig(ctx, db.cfg); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// claim opens the pool with as many connections as the server has room for.
func (db *database) claim(ctx context.Context, c connect.PoolSizing, log *slog.Logger) (err error) {
	c.Max, c.Explicit = int(db.cfg.MaxConns), db.explicit
	if db.pool, err = db.link.OpenPool(ctx, db.cfg, c, log); err != nil && !errors.Is(err, connect.ErrMisconfigured) {
		err = fmt.Errorf("database: %w", err)
	}
	return err
}

// check asks the database whether it can be used with these settings. The error is
// [connect.ErrMisconfigured] where it cannot, and another one where the database
// cannot be reached.
func (db *database) check(ctx context.Context, log *slog.Logger) (found connect.ConnectionInfo, err error) {
	if found, err = db.link.Check(ctx); err == nil {
		db.link.WarnUncertain(log, found)
	}
	return found, err
}

// await is check, and waits until the database can be reached.
func (db *database) await(ctx context.Context, log *slog.Logger) error {
	found, err := db.link.CheckUntilReachable(ctx)
	if err == nil {
		db.link.WarnUncertain(log, found)
	}
	return err
}

// direct is how to connect where a session of its own is needed, past a pooler.
func (db *database) direct() *pgx.ConnConfig {
	if db.link.Direct != nil {
		return db.link.Direct
	}
	return db.link.Pool
}

// limitMemory keeps the process within MEMORY_LIMIT: the garbage collector works
// harder when the memory that the Go runtime counts comes near the limit. A tenth
// and 24 MiB are left for what the runtime does not count: the pages of the program
// itself are 23 MiB, and what is allocated while the collector works comes on top. A
// lower GOMEMLIMIT is kept. As long as that limit is far, the collector begins when there is three times as much as it left, where Go's default is
// twice: memory that may be used anyway saves half of the collector's work. A GOGC that
// is set is kept.
func (p *program) limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), int64(p.cfg.MemoryLimit)/10*9-24<<20))
}

// batch bounds a batch in each of the lanes, which share BATCH_BYTES.
func (p *program) batch(lanes int) engine.Bound {
	return engine.Bound{Events: int(p.cfg.BatchEvents), Bytes: int(p.cfg.BatchBytes) / lanes}
}

// read bounds one read of the stream. Where the database is slow, five reads are in
// memory: one being read, one handed over, two waiting for a lane, one being folded.
func (p *program) read() engine.Bound {
	return engine.Bound{Events: 4096, Bytes: min(4<<20, int(p.cfg.MemoryLimit)/128)}
}

// lanes is LANES, or else half the number of cores: the others are for PostgreSQL
// and NATS.
func (p *program) lanes() int {
	if p.cfg.Lanes > 0 {
		return int(p.cfg.Lanes)
	}
	return max(1, runtime.NumCPU()/2)
}

// replicaName is a name for this run of the program that no other run has. It is in
// ASCII, since PostgreSQL's application_name has no other characters.
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

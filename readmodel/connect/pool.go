package connect

import (
	"context"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// How long a connection of [OpenAPIPool] is waited for before it counts as lost. A
// network that has gone silent tells neither end; what is under way on a connection
// is bounded by the timeouts of [accountexport/readmodel/export].
const (
	connectTimeout = 3 * time.Second
	pingTimeout    = 200 * time.Millisecond // of a connection that was idle, before it is used
)

// keepAlive finds idle connections lost within 20 seconds, whether or not they are
// asked for.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 3}

// OpenAPIPool opens a pool to read exports through; it connects when it is first used.
// Its connections and attempts to connect end by themselves where the network
// to the database is lost, so that reading goes on soon after it is back.
// connect_timeout, pool_ping_timeout and pool_max_conns in the URL are kept;
// without the last the pool has eight connections, or twice the processors if that
// is more.
func OpenAPIPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := PoolConfig(url)
	if err != nil {
		return nil, err
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// PoolConfig is how the pool of [OpenAPIPool], or a connection beside it, connects.
func PoolConfig(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = defaultConns()
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = pingTimeout
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{Timeout: cfg.ConnConfig.ConnectTimeout, KeepAliveConfig: keepAlive}
	cfg.ConnConfig.DialFunc = dialer.DialContext
	cfg.AfterConnect = RegisterTypes
	return cfg, nil
}

// LimitHosts has each of several servers that a URL names answer within three seconds
// when a connection is made: one that accepts connections and then says nothing, as
// one whose machine is suspended, does not keep anybody from the next. A
// connect_timeout in the URL is kept, and so is what is said of a single server.
func LimitHosts(cfg *pgx.ConnConfig) {
	for _, other := range cfg.Fallbacks {
		if cfg.ConnectTimeout == 0 && (other.Host != cfg.Host || other.Port != cfg.Port) {
			cfg.ConnectTimeout = connectTimeout
		}
	}
}

// defaultConns suits reads that share statements: half of the connections for those, of
// which two keep a server on the same machine busy, and more a server that is far
// away, and half for large documents.
func defaultConns() int32 { return int32(max(8, 2*runtime.GOMAXPROCS(0))) }

// ClosePool closes a pool. It does not wait beyond the end of ctx for a server that
// does not answer.
func ClosePool(ctx context.Context, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"accountexport/internal/api"
	"accountexport/internal/auth"
	"accountexport/internal/cli"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/internal/tracing"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
	"accountexport/readmodel/gauges"
)

// program is the running API: wire sets every field, and serve runs the parts.
type program struct {
	log        *slog.Logger
	memory     func() // logs what the limit is, and why
	pool       *pgxpool.Pool
	database   *database
	verifier   *auth.Verifier
	waiter     *export.Waiter
	monitor    *databaseMonitor
	projecting *gauges.Gauges

	api         *http.Server
	http        net.Listener
	connections int // the most at a time

	admin         *ops.Server
	adminListener net.Listener

	tracing *tracing.Tracing // nil where nothing is traced

	drain        time.Duration // between being unready and accepting no more requests
	timeout      time.Duration // for requests under way after that
	writeTimeout time.Duration // for a client that accepts nothing of its answer
}

// limitMemory keeps the process within API_MEMORY_LIMIT: the collector works harder
// when the memory counted by the runtime approaches it. The rest is for what the
// runtime does not count, above all the program's own pages. A lower GOMEMLIMIT stays
// in force.
func limitMemory(limit int64) {
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), limit/10*9-8<<20))
}

// wire creates the parts and opens the listeners. The database and the issuer need
// not be reachable; /readyz tells whether they are.
func wire(ctx context.Context, s settings.API, log *slog.Logger) (*program, error) {
	traces, err := tracing.Start(s.Tracing.Config("accountexport-api", cli.Number()), log)
	if err != nil {
		return nil, err
	}
	log = traces.Logger(log)
	verifier, err := auth.New(auth.Config{Issuer: string(s.Issuer), Audience: s.Audience, JWKSURL: string(s.JWKSURL),
		Secret: string(s.JWTSecret), OAuthClients: s.OAuthClients}, log)
	if err != nil {
		return nil, err
	}
	db, err := newDatabase(ctx, s, log, traces.Statements())
	if err != nil {
		return nil, err
	}
	pool := db.pool
	if err := export.CheckSpool(string(s.SpoolDir)); err != nil {
		pool.Close()
		return nil, fmt.Errorf("API_SPOOL_DIR: %w: it has to be a folder that can be written", err)
	}
	limitMemory(int64(s.MemoryLimit))
	proxies := make([]netip.Prefix, len(s.TrustedProxies))
	for i, n := range s.TrustedProxies {
		proxies[i] = netip.Prefix(n)
	}
	exports := export.NewReader(pool, export.Limits{Memory: s.SpoolMemory(), Dir: string(s.SpoolDir), Files: int64(s.SpoolLimit)})
	waiter := export.NewWaiter(pool, log)
	waiter.Direct, waiter.Sessions = db.connector.Direct, db.sessions
	waiter.UseLiveness(exports)
	monitor := newDatabaseMonitor(exports, log)
	projecting := gauges.New(pool, log)
	registry := ops.Registry()
	registry.MustRegister(ops.PoolCollector(pool), prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "export_waiting_requests",
		Help: "Requests that wait for a position."}, func() float64 { return float64(waiter.Waiting()) }), spoolCollector{exports}, monitor.gauge(), projecting)
	if traces.On() {
		exports.FollowCallers()
	}
	p := &program{log: log, tracing: traces, memory: func() { s.Memory.Report(log, s.MemoryLimit) }, pool: pool, database: db, verifier: verifier, timeout: s.ShutdownTimeout, drain: s.DrainDelay,
		connections: int(s.MaxConnections), writeTimeout: s.WriteTimeout,
		waiter: waiter, monitor: monitor, projecting: projecting,
		api: api.NewServer(api.New(api.Config{Exports: exports, Waiter: waiter, Verifier: verifier, Origins: asStrings(s.Origins), Headers: asStrings(s.Headers),
			AccountRate: api.Rate(s.RateLimit), AddressRate: api.Rate(s.AddressRate), Proxies: proxies,
			Encoders: int(max(2, s.MemoryLimit/(16<<20))), Registry: registry, Logger: log, Tracing: traces}), log),
		admin: ops.NewServer(registry, log, ops.Check{Name: "database", Ready: exports.Ready},
			ops.Check{Name: "keys", Ready: verifier.Check})}
	if p.http, err = net.Listen("tcp", string(s.HTTPAddr)); err != nil {
		pool.Close()
		return nil, fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if p.adminListener, err = net.Listen("tcp", string(s.AdminAddr)); err != nil {
		pool.Close()
		p.http.Close()
		return nil, fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	return p, nil
}

func asStrings[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// serve runs until ctx ends or a server fails. Then the program is unready, and still
// answers requests for the drain delay, closing each connection with its answer, so
// that load balancers and clients move away. After that the API finishes its
// requests. The admin server and the refresh of keys end last. It returns the first
// error.
func (p *program) serve(ctx context.Context) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		connect.ClosePool(ctx, p.pool)
	}()
	p.log.Info("serving", "http", p.http.Addr().String(), "admin", p.adminListener.Addr().String())
	p.memory()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	serving, stopServing := context.WithCancel(adminCtx)
	defer stopServing()
	var asked atomic.Int64
	context.AfterFunc(ctx, func() {
		asked.Store(time.Now().UnixNano())
		p.admin.Drain()
		p.api.SetKeepAlivesEnabled(false)
		time.AfterFunc(p.drain, stopServing)
	})
	var parts errgroup.Group
	parts.Go(func() error { return p.verifier.Run(adminCtx) })
	parts.Go(func() error {
		err := p.database.check(serving)
		if err != nil {
			stop()
		}
		return err
	})
	parts.Go(func() error { return p.monitor.run(serving) })
	parts.Go(func() error {
		p.projecting.Run(serving)
		return nil
	})
	// waiting requests are answered at once when the program shuts down
	parts.Go(func() error { return p.waiter.Run(serving) })
	parts.Go(func() error {
		defer stop()
		return p.admin.Run(adminCtx, p.adminListener)
	})
	systemd := ops.Service{Admin: p.admin, Listener: p.adminListener, Stopping: ctx.Done(), Log: p.log}
	parts.Go(func() error { return systemd.Run(adminCtx) })
	parts.Go(func() error {
		defer stopAdmin()
		return ops.Serve(serving, p.api, api.Listen(p.http, p.connections, p.writeTimeout), p.timeout)
	})
	err := parts.Wait()
	p.closeTracing(asked.Load())
	p.log.Info("stopped")
	return err
}

// closeTracing delivers the spans that wait, within what is left of the time in which
// the program is to end that was asked to at a time.
func (p *program) closeTracing(asked int64) {
	left := tracing.FlushTimeout
	if asked > 0 {
		left = p.drain + p.timeout - time.Since(time.Unix(0, asked))
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	p.tracing.Close(ctx)
}

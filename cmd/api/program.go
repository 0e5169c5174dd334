package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"accountexport/internal/api"
	"accountexport/internal/auth"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/export"
)

// program is the API with all it is made of.
type program struct {
	log                 *slog.Logger
	pool                *pgxpool.Pool
	database            *database
	verifier            *auth.Verifier
	waits               *export.Waiter
	view                *databaseMonitor
	api                 *http.Server
	admin               *ops.Server
	http, adminListener net.Listener
	drain               time.Duration // from being unready to taking no more requests
	timeout             time.Duration
	connections         int
	patience            time.Duration // with a client that takes nothing
}

// bound keeps the process within API_MEMORY_LIMIT: the collector works harder
// when what the runtime counts comes near it. What it does not count, the
// program's own pages above all, has the rest. A lower GOMEMLIMIT stays.
func bound(limit int64) {
	debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), limit/10*9-8<<20))
}

// wire makes the parts and listens. The database and the issuer need not be
// there: /readyz tells whether they are.
func wire(ctx context.Context, s settings.API, log *slog.Logger) (*program, error) {
	verifier, err := auth.New(auth.Config{Issuer: string(s.Issuer), Audience: s.Audience, JWKSURL: string(s.JWKSURL),
		Secret: string(s.JWTSecret), OAuthClients: s.OAuthClients}, log)
	if err != nil {
		return nil, err
	}
	db, err := newDatabase(ctx, s, log)
	if err != nil {
		return nil, err
	}
	pool := db.pool
	if err := export.CheckSpool(string(s.SpoolDir)); err != nil {
		pool.Close()
		return nil, fmt.Errorf("API_SPOOL_DIR: %w: it has to be a folder that can be written", err)
	}
	bound(int64(s.MemoryLimit))
	origins, proxies := make([]string, len(s.Origins)), make([]netip.Prefix, len(s.TrustedProxies))
	for i, o := range s.Origins {
		origins[i] = string(o)
	}
	headers := make([]string, len(s.Headers))
	for i, h := range s.Headers {
		headers[i] = string(h)
	}
	for i, n := range s.TrustedProxies {
		proxies[i] = netip.Prefix(n)
	}
	exports := export.NewReader(pool, export.Limits{Memory: s.SpoolMemory(), Dir: string(s.SpoolDir), Files: int64(s.SpoolLimit)})
	waits := export.NewWaiter(pool, log)
	waits.Direct, waits.Sessions = db.link.Direct, db.sessions
	waits.UseLiveness(exports)
	view := newDatabaseMonitor(exports, log)
	registry := ops.Registry()
	registry.MustRegister(ops.PoolCollector(pool), prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "export_waiting_requests",
		Help: "Requests that wait for a position."}, func() float64 { return float64(waits.Waiting()) }), spoolCollector{exports}, view.gauge())
	p := &program{log: log, pool: pool, database: db, verifier: verifier, timeout: s.ShutdownTimeout, drain: s.DrainDelay,
		connections: int(s.MaxConnections), patience: s.WriteTimeout,
		waits: waits, view: view,
		api: api.NewServer(api.New(api.Config{Exports: exports, Waiter: waits, Verifier: verifier, Origins: origins, Headers: headers,
			AccountRate: api.Rate(s.RateLimit), AddressRate: api.Rate(s.AddressRate), Proxies: proxies,
			Encoders: int(max(2, s.MemoryLimit/(16<<20))), Registry: registry, Logger: log}), log),
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

// serve runs until ctx ends or a server fails. Then the program is unready,
// and answers on for a while, each answer the last on its connection, so that
// whoever sends requests here learns of it; the API finishes its requests, and
// the admin server, which tells of it, and the keys go last.
func (p *program) serve(ctx context.Context) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		connect.ClosePool(ctx, p.pool)
	}()
	p.log.Info("serving", "http", p.http.Addr().String(), "admin", p.adminListener.Addr().String())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	last, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	serving, finish := context.WithCancel(last)
	defer finish()
	context.AfterFunc(ctx, func() {
		p.admin.Drain()
		p.api.SetKeepAlivesEnabled(false)
		time.AfterFunc(p.drain, finish)
	})
	var parts errgroup.Group
	parts.Go(func() error { return p.verifier.Run(last) })
	parts.Go(func() error {
		err := p.database.check(serving)
		if err != nil {
			stop()
		}
		return err
	})
	parts.Go(func() error { return p.view.run(serving) })
	parts.Go(func() error { return p.waits.Run(serving) }) // who waits is told at once that the program ends
	parts.Go(func() error {
		defer stop()
		return p.admin.Run(last, p.adminListener)
	})
	parts.Go(func() error {
		defer end()
		return ops.Serve(serving, p.api, api.Listen(p.http, p.connections, p.patience), p.timeout)
	})
	err := parts.Wait()
	p.log.Info("stopped")
	return err
}

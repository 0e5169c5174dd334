package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/internal/telemetry"
)

// follow runs the admin server, and beside it the projector, until ctx ends. The server
// comes first: a projector that has never reached NATS or the database is alive, says
// for what it waits, and has metrics.
func (p *program) follow(ctx context.Context) error {
	log := p.logger(p.err)
	settings.Warn(log, p.cfg.Unprotected())
	p.cfg.Memory.Report(log, p.cfg.MemoryLimit)
	reg := ops.Registry()
	watch := telemetry.NewProjector(reg, 15*time.Second, max(3*time.Second, 3*time.Duration(p.cfg.TakeoverAfter)/10))
	waits := &waitsFor{}
	admin := ops.NewServer(reg, log, ops.Check{Name: "progress", Ready: func(context.Context) error { return waits.explain(watch.Ready()) }})
	admin.ReportState(watch.State)
	listener, err := net.Listen("tcp", string(p.cfg.AdminAddr))
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	actx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		if err := admin.Run(actx, listener); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		return nil
	})
	systemd := ops.Service{Admin: admin, Listener: listener, Alive: func() error { return ops.LoopAlive(watch.Turned()) }, Stopping: ctx.Done(), Log: log}
	g.Go(func() error { return systemd.Run(actx) })
	g.Go(func() error {
		defer stopAdmin()
		return p.project(gctx, reg, watch, waits, log)
	})
	return g.Wait()
}

// waitsFor is what the program waits for before it can project.
type waitsFor struct{ what atomic.Pointer[string] }

// set sets what is waited for; empty: nothing.
func (w *waitsFor) set(what string) { w.what.Store(&what) }

// explain adds what is waited for to why the program is not ready. Where it is ready it
// waits for nothing, whatever it has not noticed yet.
func (w *waitsFor) explain(err error) error {
	if what := w.what.Load(); err != nil && what != nil && *what != "" {
		return fmt.Errorf("%w: waiting for %s", err, *what)
	}
	return err
}

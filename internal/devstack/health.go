package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"accountexport/internal/ops"
)

// health serves the metrics and the health of this process.
type health struct {
	addr  string
	stop  func() // and waits for the end
	ready atomic.Bool
}

// started has it be ready.
func (h *health) started() { h.ready.Store(true) }

// newHealth serves on the listener. It is ready once it was started, while the check
// holds.
func newHealth(ctx context.Context, l net.Listener, check func(context.Context) error) *health {
	h := &health{addr: l.Addr().String()}
	server := ops.NewServer(ops.Registry(), slog.New(slog.DiscardHandler), ops.Check{Name: "parts", Ready: func(ctx context.Context) error {
		if !h.ready.Load() {
			return errors.New("starting")
		}
		return check(ctx)
	}})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Run(ctx, l) })
	h.stop = func() { cancel(); wg.Wait() }
	return h
}

// serveHealth serves that of the whole stack: Run ends once a part has failed, so it is
// as sound as this process. The usual addresses of the parts come first.
func (s *stack) serveHealth(ctx context.Context) (*health, error) {
	l, err := net.Listen("tcp", s.opt.AdminAddr)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("ADMIN_ADDR: %w", err)
		}
		s.printf("%s is taken; health is served at %s", s.opt.AdminAddr, l.Addr())
	}
	return newHealth(ctx, l, func(context.Context) error { return nil }), nil
}

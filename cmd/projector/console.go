package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/console"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/internal/stream"
	"accountexport/readmodel/connect"
)

// consoleSettings marks the command whose settings are judged together, see
// [settings.LoadConsole].
const consoleSettings = "console"

func (p *program) console() *cobra.Command {
	var allowActs bool
	cmd := &cobra.Command{
		Use:   "console [--allow-acts]",
		Short: "Serve the operator's console, a page in a browser, on CONSOLE_ADDR",
		Long: "Shows how projecting is doing, any account with its history, parked messages, generations, the stream and erasures, until\n" +
			"SIGTERM or SIGINT. It only reads, unless --allow-acts is given: then whoever may open it may do what the commands do.\n" +
			"Every look at an account and every act is a line that `projector audit list` shows.\n\n" +
			"On a loopback address whoever is on this machine may open it. On any other address a proxy has to say who asks:\n" +
			"TRUSTED_PROXIES and CONSOLE_USER_HEADER are required. What people have made up, above all names, addresses and\n" +
			"metadata, is masked unless CONSOLE_PRIVACY is full.",
		Example: `  # Read, on http://127.0.0.1:9093/.
  projector console
  # Act as well, for this incident.
  projector console --allow-acts
  # For a team, behind a proxy that signs people in.
  projector console --console-addr :9093 --trusted-proxies 10.0.0.5 --console-user-header X-Forwarded-User`,
		Annotations: map[string]string{consoleSettings: "yes"},
		Args:        cli.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return p.serveConsole(cmd.Context(), allowActs) },
	}
	cmd.Flags().BoolVar(&allowActs, "allow-acts", false, "let whoever may open it act, too")
	return cmd
}

// serveConsole serves until ctx ends. Where a server cannot be reached, the pages say so.
func (p *program) serveConsole(ctx context.Context, allowActs bool) error {
	log := p.logger(p.err)
	settings.Warn(log, p.cfg.Unprotected())
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		return err
	}
	shutdown, end := withGracePeriod(ctx, p.cfg.ShutdownTimeout)
	defer end()
	defer connect.ClosePool(shutdown, pool)
	proxies := make([]netip.Prefix, len(p.cfg.TrustedProxies))
	for i, n := range p.cfg.TrustedProxies {
		proxies[i] = netip.Prefix(n)
	}
	c, err := console.New(console.Config{
		Pool: pool,
		Connect: func(ctx context.Context) (acts.Target, error) {
			client, err := p.connectWithin(ctx, log, 0)
			if err != nil {
				return acts.Target{}, err
			}
			return acts.NewTarget(client, pool), nil
		},
		Rebuilder: func(ctx context.Context, on acts.Target, command string) (*acts.Rebuilder, func(), error) {
			r, err := p.makeRebuilder(ctx, on.Stream, command, log)
			if err != nil {
				return nil, nil, err
			}
			return r, func() { closePools(r) }, nil
		},
		Waiting:   "NATS at " + stream.Redacted(string(p.cfg.NATSURL)),
		Takeover:  time.Duration(p.cfg.TakeoverAfter),
		AllowActs: allowActs, Privacy: console.Privacy(p.cfg.Privacy),
		UserHeader: string(p.cfg.UserHeader), Proxies: proxies, User: "this machine",
		Logger: log,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", string(p.cfg.ConsoleAddr))
	if err != nil {
		return fmt.Errorf("CONSOLE_ADDR: %w", err)
	}
	log.Info("serving the console", "address", "http://"+listener.Addr().String()+"/", "acts", allowActs, "privacy", string(p.cfg.Privacy))
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := ops.Serve(gctx, c.Server(), listener, time.Duration(p.cfg.ShutdownTimeout)/2)
		if ctx.Err() != nil { // a page that still reads is no failure
			return nil
		}
		return err
	})
	g.Go(func() error {
		err := c.Run(gctx)
		if err == nil && ctx.Err() == nil && gctx.Err() == nil {
			return errors.New("the console has ended by itself")
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	log.Info("stopped")
	return nil
}

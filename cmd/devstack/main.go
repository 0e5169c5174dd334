//go:build unix

// Command devstack runs everything on one machine, for a newcomer: an embedded NATS
// server, PostgreSQL, the projector, the API and a simulated control plane.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"accountexport/internal/cli"
	"accountexport/internal/devstack"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // under nohup it stays ignored
		ends = append(ends, syscall.SIGHUP)
	}
	cli.Main(run, ends...)
}

// run is the whole program; it returns the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return commands(environ, stdout, stderr).Run(ctx, args)
}

func commands(environ []string, stdout, stderr io.Writer) *cli.Program {
	var s settings.Devstack
	opt := devstack.Options{Rate: 50, Accounts: 200, Out: stdout}
	size := func(flags *pflag.FlagSet) {
		cli.Flag(flags, &opt.Rate, "rate", cli.Whole("N", 1, 20_000), "simulated events a second; at most as many as the disk takes one by one")
		cli.Flag(flags, &opt.Accounts, "accounts", cli.Whole("N", 1, 1_000_000), "simulated accounts")
	}
	start := func(cmd *cobra.Command, _ []string) error {
		opt.DatabaseURL, opt.AdminAddr = string(s.DatabaseURL), string(s.AdminAddr)
		return devstack.Run(cmd.Context(), opt)
	}
	root := &cobra.Command{
		Use:   "devstack [--keep] [--dir FOLDER] [--rate N] [--accounts N]",
		Short: "Run everything on this machine, with a simulated control plane",
		Long: "Runs NATS, PostgreSQL, the projector, the API, the operator's console and a simulated control plane until Ctrl-C, and prints\n" +
			"how to try them.\n" +
			"The control plane has a history, which is imported first, and from then on an outbox, which projector relay publishes.\n" +
			"Settings for projector and api in the environment hold for those, but not where their servers are.",
		RunE: start,
	}
	settings.AddFlags(root.PersistentFlags(), settings.ForDevstack)
	same := &cobra.Command{Use: "run [--keep] [--dir FOLDER] [--rate N] [--accounts N]", Short: "Run, as without a command", Long: root.Long, RunE: start}
	simulate := &cobra.Command{
		Use:   "simulate [--rate N] [--accounts N]",
		Short: "Play the control plane alone, with an outbox in a given database",
		Long: "Plays a control plane in the database of OUTBOX_DATABASE_URL until SIGTERM or SIGINT: half of its accounts begin with a\n" +
			"history, and what happens to them is written to an outbox there, which projector relay publishes. The database has to be\n" +
			"empty, or of an earlier call, which it goes on with. With JWT_SECRET and JWT_ISSUER, which have to be those of the API, it\n" +
			"prints how to ask for an export.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return devstack.Simulate(cmd.Context(), devstack.SimulateOptions{Rate: opt.Rate, Accounts: opt.Accounts, OutboxURL: string(s.OutboxURL),
				AdminAddr: string(s.AdminAddr), Secret: string(s.JWTSecret), Issuer: string(s.Issuer), Out: stdout})
		}}
	size(simulate.Flags())
	root.AddCommand(same, simulate)
	for _, cmd := range []*cobra.Command{root, same} {
		flags := cmd.Flags()
		flags.BoolVar(&opt.Keep, "keep", false, "keep the data for the next run, which goes on with it")
		cli.Flag(flags, &opt.Dir, "dir", cli.Path("FOLDER", "the name of a folder"),
			"keep the data in this folder (default with --keep: one of the user's cache, or of /var/tmp for root)")
		size(flags)
	}
	return cli.New(root, cli.Options{Stdout: stdout, Stderr: stderr, Version: cli.Version("devstack"),
		Health: func(cmd *cobra.Command) (func(context.Context) error, error) {
			addr, err := settings.LoadAdmin(cmd.Flags(), environ, settings.ForDevstack)
			return func(ctx context.Context) error { return ops.Healthcheck(ctx, string(addr)) }, err
		},
		Load: func(cmd *cobra.Command) (err error) {
			if cmd == simulate {
				s, err = settings.LoadSimulate(cmd.Flags(), environ)
				return err
			}
			projector, api := devstack.Given()
			s, err = settings.LoadDevstack(cmd.Flags(), environ, projector, api)
			return err
		}})
}

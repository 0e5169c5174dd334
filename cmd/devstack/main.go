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

	"accountexport/internal/cli"
	"accountexport/internal/devstack"
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
	start := func(cmd *cobra.Command, _ []string) error {
		opt.DatabaseURL = string(s.DatabaseURL)
		return devstack.Run(cmd.Context(), opt)
	}
	root := &cobra.Command{
		Use:   "devstack [--keep] [--dir FOLDER] [--rate N] [--accounts N]",
		Short: "Run everything on this machine, with a simulated control plane",
		Long: "Runs NATS, PostgreSQL, the projector, the API and a simulated control plane until Ctrl-C, and prints how to try them.\n" +
			"The control plane has a history, which is imported first, and from then on an outbox, which projector relay publishes.\n" +
			"Settings for projector and api in the environment hold for those, but not where their servers are.",
		RunE: start,
	}
	settings.AddFlags(root.PersistentFlags(), settings.ForDevstack)
	same := &cobra.Command{Use: "run [--keep] [--dir FOLDER] [--rate N] [--accounts N]", Short: "Run, as without a command", Long: root.Long, RunE: start}
	root.AddCommand(same)
	for _, cmd := range []*cobra.Command{root, same} {
		flags := cmd.Flags()
		flags.BoolVar(&opt.Keep, "keep", false, "keep the data for the next run, which goes on with it")
		cli.Flag(flags, &opt.Dir, "dir", cli.Path("FOLDER", "the name of a folder"),
			"keep the data in this folder (default with --keep: one of the user's cache, or of /var/tmp for root)")
		cli.Flag(flags, &opt.Rate, "rate", cli.Whole("N", 1, 20_000), "simulated events a second; at most as many as the disk takes one by one")
		cli.Flag(flags, &opt.Accounts, "accounts", cli.Whole("N", 1, 1_000_000), "simulated accounts")
	}
	return cli.New(root, cli.Options{Stdout: stdout, Stderr: stderr, Version: cli.Version("devstack"),
		Load: func(cmd *cobra.Command) (err error) {
			projector, api := devstack.Given()
			s, err = settings.LoadDevstack(cmd.Flags(), environ, projector, api)
			return err
		}})
}

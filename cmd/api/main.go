// Command api serves account exports over HTTP. Settings are environment variables,
// which flags of the same name override; `api help` lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/projections"
	"accountexport/readmodel/connect"
)

func main() { cli.Main(run, os.Interrupt, syscall.SIGTERM) }

// run is the whole program: it serves until ctx ends, then finishes the requests
// under way, and returns the exit status.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return commands(environ, stdout, stderr).Run(ctx, args)
}

// exitCode returns the exit status for an error.
func exitCode(err error) int {
	if errors.Is(err, connect.ErrMisconfigured) {
		return cli.ExitUsage
	}
	return cli.ExitFailure
}

func commands(environ []string, stdout, stderr io.Writer) *cli.Program {
	var s settings.API
	serve := func(cmd *cobra.Command, _ []string) error {
		log := s.Logger(stdout)
		settings.Warn(log, s.Unprotected())
		p, err := wire(cmd.Context(), s, log)
		if err != nil {
			return err
		}
		return p.serve(cmd.Context())
	}
	root := &cobra.Command{
		Use:   "api",
		Short: "Serve account exports over HTTP",
		Long:  "Serves account exports over HTTP until SIGTERM or SIGINT; a second signal ends it at once. The log is on standard output.",
		RunE:  serve,
	}
	settings.AddFlags(root.PersistentFlags(), settings.ForAPI)
	root.AddCommand(&cobra.Command{Use: "run", Short: "Serve, as without a command", Long: root.Long, RunE: serve})
	return cli.New(root, cli.Options{
		Stdout: stdout, Stderr: stderr, Code: exitCode,
		Version: cli.Version("api", fmt.Sprintf("projection version %d.%d", projections.VersionMajor, projections.VersionMinor)),
		Health: func(cmd *cobra.Command) (func(context.Context) error, error) {
			addr, err := settings.LoadAdmin(cmd.Flags(), environ, settings.ForAPI)
			return func(ctx context.Context) error { return ops.Healthcheck(ctx, string(addr)) }, err
		},
		Load: func(cmd *cobra.Command) (err error) {
			s, err = settings.LoadAPI(cmd.Flags(), environ)
			return err
		},
	})
}

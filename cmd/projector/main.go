// Command projector folds the control plane's events from JetStream into one
// export document an account, in PostgreSQL. Its commands, settings and exit
// statuses are in doc/reference.md; `projector help` lists them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/projections"
)

func main() { cli.Main(run, os.Interrupt, syscall.SIGTERM) }

// run is the whole program. It returns the exit status: beside those of every
// program the refusals'.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return commands(environ, stdout, stderr).Run(ctx, args)
}

// streamOnly marks the commands that need no database.
const streamOnly = "stream only"

// program is what the commands share.
type program struct {
	out io.Writer
	err io.Writer
	cfg settings.Projector

	command  string // that runs, as in `projector run`
	terminal bool   // whether out is one
}

func commands(environ []string, stdout, stderr io.Writer) *cli.Program {
	p := &program{err: stderr, terminal: isTerminal(stdout)}
	root := &cobra.Command{
		Use:   "projector",
		Short: "Fold the control plane's events into account exports",
		Long:  "Folds the control plane's events from NATS JetStream into one export document an account, in PostgreSQL.\n\n" + exitCodes(),
	}
	settings.AddFlags(root.PersistentFlags(), settings.ForProjector)
	root.AddCommand(p.provision(), p.run(), p.status(), p.parked(), p.export(), p.history(), p.publish(), p.importEvents(),
		p.rebuild(), p.cutover(), p.rollback(), p.generations(), p.verify(), p.erase(), p.erasures(), p.refold(), p.accept(),
		p.pause(), p.resume())
	return cli.New(root, cli.Options{
		Stdout: stdout, Stderr: stderr, Code: exitCode,
		Version: cli.Version("projector", fmt.Sprintf("projection version %d.%d", projections.VersionMajor, projections.VersionMinor)),
		Health: func(cmd *cobra.Command) (func(context.Context) error, error) {
			addr, err := settings.LoadAdmin(cmd.Flags(), environ, settings.ForProjector)
			return func(ctx context.Context) error { return ops.Healthcheck(ctx, string(addr)) }, err
		},
		Load: func(cmd *cobra.Command) (err error) {
			load := settings.LoadProjector
			if cmd.Annotations[streamOnly] != "" {
				load = settings.LoadStream
			}
			p.out, p.command = cmd.OutOrStdout(), cmd.CommandPath()
			if p.cfg, err = load(cmd.Flags(), environ); err == nil {
				p.bound()
			}
			return err
		},
	})
}

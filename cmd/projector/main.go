// Command projector folds the control plane's events from JetStream into one
// export document an account, in PostgreSQL. Its commands, settings and exit
// statuses are in doc/reference.md; `projector help` lists them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/ops"
	"accountexport/internal/settings"
	"accountexport/internal/tracing"
	"accountexport/projections"
)

func main() { cli.Main(run, os.Interrupt, syscall.SIGTERM) }

// run is the whole program, and returns the exit status. Beside the
// statuses that every program has there is one for each refusal, see internal/findings.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return commands(environ, stdout, stderr).Run(ctx, args)
}

// program is one call of the projector: what its commands share. One call runs one
// command, and all fields are set before that begins, so no lock guards them.
type program struct {
	in       io.Reader
	out, err io.Writer
	terminal bool // whether out is a terminal
	cfg      settings.Projector
	tracing  *tracing.Tracing // nil where nothing is traced
	command  string           // the command that runs, such as `projector run`

	asJSON bool // --json
	yes    bool // --yes

	sudoUser string // SUDO_USER: who has called this by sudo; empty: nobody
}

// register adds every command to the root. A new command is a line here.
func (p *program) register(root *cobra.Command) {
	root.AddCommand(
		p.accept(),
		p.audit(),
		p.check(),
		p.console(),
		p.cutover(),
		p.erase(),
		p.erasures(),
		p.export(),
		p.generations(),
		p.history(),
		p.importEvents(),
		p.parked(),
		p.pause(),
		p.provision(),
		p.publish(),
		p.rebuild(),
		p.refold(),
		p.relay(),
		p.resume(),
		p.rollback(),
		p.run(),
		p.status(),
		p.verify(),
	)
}

func commands(environ []string, stdout, stderr io.Writer) *cli.Program {
	p := &program{err: stderr, terminal: isTerminal(stdout)}
	for _, variable := range environ {
		if name, found := strings.CutPrefix(variable, "SUDO_USER="); found {
			p.sudoUser = name
		}
	}
	root := &cobra.Command{
		Use:   "projector",
		Short: "Fold the control plane's events into account exports",
		Long:  "Folds the control plane's events from NATS JetStream into one export document an account, in PostgreSQL.\n\n" + exitCodes(),
		Example: `  # Create the stream and the tables, and then fold until SIGTERM.
  projector provision && projector run
  # How far is it, and does it go on?
  projector status
  # What a command does, with examples.
  projector help parked retry`,
	}
	settings.AddFlags(root.PersistentFlags(), settings.ForProjector)
	p.register(root)
	p.traceCommands(root)
	return cli.New(root, cli.Options{
		Stdout: stdout, Stderr: stderr, Code: findings.ExitStatus,
		Version: cli.Version("projector", fmt.Sprintf("projection version %d.%d", projections.VersionMajor, projections.VersionMinor)),
		Health: func(cmd *cobra.Command) (func(context.Context) error, error) {
			addr, err := settings.LoadAdmin(cmd.Flags(), environ, settings.ForProjector)
			return func(ctx context.Context) error { return ops.Healthcheck(ctx, string(addr)) }, err
		},
		Load: func(cmd *cobra.Command) (err error) {
			load, environ := settings.LoadProjector, environ
			switch {
			case cmd.Annotations[outboxOnly] != "":
				load = settings.LoadRelay
			case cmd.Annotations[consoleSettings] != "":
				load = settings.LoadConsole
			case cmd.Annotations[streamOnly] != "":
				load = settings.LoadStream
			}
			if with := cmd.Annotations[serversWith]; with != "" && !slices.ContainsFunc(strings.Fields(with), cmd.Flags().Changed) {
				environ = nil // no server is asked, so the settings of none are judged, unless they were given with the call
			}
			p.in, p.out, p.command = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.CommandPath()
			if p.cfg, err = load(cmd.Flags(), environ); err == nil {
				p.limitMemory()
			}
			return err
		},
	})
}

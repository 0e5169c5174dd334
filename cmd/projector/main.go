// Command projector folds the control plane's events from JetStream into one
// export document an account, in PostgreSQL. Its commands and settings are in
// the README; `projector help` lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"accountexport/internal/settings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// exit is an error that has nothing more to say than a status.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// badSettings are settings that cannot be used.
type badSettings struct{ error }

func (e badSettings) Unwrap() error { return e.error }

// run is the whole program: 0 where all went well, 1 where it did not, 2 where
// it was called wrongly, and those of refusals.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var code exit
	switch err := root(environ, stdout, stderr, args).ExecuteContext(ctx); {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(stderr, "projector:", err)
		return exitCode(err)
	}
}

// streamOnly marks the commands that need no database.
const streamOnly = "stream only"

// program is what the commands share.
type program struct {
	environ []string
	out     io.Writer
	err     io.Writer
	cfg     settings.Projector
}

func root(environ []string, stdout, stderr io.Writer, args []string) *cobra.Command {
	p := &program{environ: environ, out: stdout, err: stderr}
	cmd := &cobra.Command{
		Use:           "projector",
		Short:         "Fold the control plane's events into account exports",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	flags := cmd.PersistentFlags()
	settings.AddFlags(flags, settings.ForProjector)
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		load := settings.LoadProjector
		if cmd.Annotations[streamOnly] != "" {
			load = settings.LoadStream
		}
		if p.cfg, err = load(flags, p.environ); err != nil {
			return badSettings{err}
		}
		p.bound()
		return nil
	}
	cmd.AddCommand(p.provision(), p.run(), p.status(), p.parked(), p.export(), p.history(), p.publish(),
		p.rebuild(), p.cutover(), p.rollback(), p.generations(), p.verify(), p.erase(), p.refold(), p.accept())
	return cmd
}

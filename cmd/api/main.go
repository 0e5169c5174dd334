// Command api serves account exports over HTTP. Settings are environment
// variables, which flags of the same name override; --help lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"accountexport/internal/settings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then finishes the requests at hand.
func run(ctx context.Context, args, environ []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("api", pflag.ContinueOnError)
	flags.SetOutput(stdout)
	settings.AddFlags(flags, settings.ForAPI)
	if err := flags.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if rest := flags.Args(); len(rest) > 1 || len(rest) == 1 && rest[0] != "run" {
		return fmt.Errorf("%q is not a command: there is only run, which need not be said", rest)
	}
	s, err := settings.LoadAPI(flags, environ)
	if err != nil {
		return err
	}
	p, err := wire(ctx, s, s.Logger(stdout))
	if err != nil {
		return err
	}
	return p.serve(ctx)
}

// Command devstack runs the whole thing on one machine for a newcomer: an
// embedded NATS server, PostgreSQL, the projector, the API, and a simulated
// control plane.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"accountexport/internal/devstack"
)

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup stays what it is
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "devstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	opt := devstack.Options{DatabaseURL: os.Getenv("DATABASE_URL"), Out: os.Stdout}
	flags := pflag.NewFlagSet("devstack", pflag.ContinueOnError)
	flags.BoolVar(&opt.Keep, "keep", false, "keep the data for the next run, which goes on with it")
	flags.StringVar(&opt.Dir, "dir", "", "keep the data in this folder (default with --keep: one of the user's cache, or of /var/tmp for root)")
	flags.IntVar(&opt.Rate, "rate", 50, "simulated events a second; at most as many as the disk takes one by one")
	flags.IntVar(&opt.Accounts, "accounts", 200, "simulated accounts")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 || opt.Rate < 1 || opt.Rate > 20_000 || opt.Accounts < 1 || opt.Accounts > 1_000_000 {
		return errors.New("found other arguments or a number out of range, want --rate 1 to 20000 and --accounts 1 to 1000000")
	}
	return devstack.Run(ctx, opt)
}

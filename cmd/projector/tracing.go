package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/internal/tracing"
)

// service is the name of the programs in traces, before that of the program.
const service = "accountexport-"

// untraced are the commands without a span of their own: those that run for as long as
// the program does, whose batches and windows have spans, and those that only look.
var untraced = strings.Fields("run relay console status check help completion")

// traceCommands has each command traced, and those below it.
func (p *program) traceCommands(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		p.traceCommands(c)
	}
	run := cmd.RunE
	if run == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		log := p.cfg.Logger(p.err)
		if p.tracing, err = tracing.Start(p.cfg.Tracing.Config(service+"projector", cli.Number()), log); err != nil {
			return err
		}
		if p.tracing == nil {
			return run(cmd, args)
		}
		defer p.closeTracing(cmd.Context())()
		if slices.Contains(untraced, cmd.Name()) {
			return run(cmd, args)
		}
		ctx, end := p.tracing.Command(cmd.Context(), cmd.CommandPath())
		cmd.SetContext(ctx)
		err = run(cmd, args)
		end(err)
		return err
	}
}

// closeTracing notes when ctx ends. What it returns delivers the spans that wait, within
// what is left of SHUTDOWN_TIMEOUT then.
func (p *program) closeTracing(ctx context.Context) func() {
	var asked atomic.Int64
	stop := context.AfterFunc(ctx, func() { asked.Store(time.Now().UnixNano()) })
	return func() {
		stop()
		left := tracing.FlushTimeout
		if at := asked.Load(); at > 0 {
			left = p.cfg.ShutdownTimeout - time.Since(time.Unix(0, at))
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
		defer cancel()
		p.tracing.Close(ctx)
	}
}

// logger is the log, whose lines say which trace they belong to.
func (p *program) logger(w io.Writer) *slog.Logger { return p.tracing.Logger(p.cfg.Logger(w)) }

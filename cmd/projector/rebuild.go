package main

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

func (p *program) rebuild() *cobra.Command {
	cutover, maxRate, workers, spool := "auto", 0, 1, defaultSpool
	var restart, worker bool
	var flags cutoverFlags
	cmd := &cobra.Command{
		Use:   "rebuild [--cutover auto|manual] [--max-rate N] [--workers N] [--spool MIB] [--restart] [--accept-differences] [--yes] [--list FILE] [--json]",
		Short: "Fold the stream from its start into a new generation, verify it, and cut over to it",
		Long: "The live generation is served and kept current by `projector run` meanwhile. Interrupted, whatever the moment, a\n" +
			"rebuild goes on where it was. Before the cut-over both generations are compared; where they differ although\n" +
			"this program folded both, it refuses. --accept-differences cuts over all the same: it says how many accounts would\n" +
			"answer 404 or go back, and on a terminal asks.",
		Example: `  # Build, compare and cut over.
  projector rebuild
  # Build slowly beside traffic, and cut over at another time.
  projector rebuild --cutover=manual --max-rate 5000
  projector cutover
  # Build with four processes, on a machine with many cores.
  projector rebuild --workers 4
  # Cut over although accounts differ, after looking at each of them.
  projector rebuild --accept-differences --list differences.txt`,
		PreRunE: func(*cobra.Command, []string) error { return p.divide(workers) },
	}
	build := p.onRebuild(acts.Rebuild, func(ctx context.Context, r *rebuildCommand) error {
		r.Restart, r.MaxRate, r.Spool = restart, maxRate, int64(spool)<<20
		p.share(r.Rebuilder, workers)
		if err := r.apply(flags); err != nil {
			return err
		}
		if err := r.build(ctx); err != nil {
			return err
		}
		if err := r.decide(ctx); err != nil {
			return err
		}
		if cutover == "manual" {
			return p.result(rebuiltLine{Generation: r.Generation, Expected: r.Expected}, "generation %d is ready; `projector cutover` makes it live\n", r.Generation)
		}
		return r.CutOver(ctx)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if worker {
			return p.work(cmd.Context(), workers, int64(spool)<<20)
		}
		return build(cmd, args)
	}
	cli.Flag(cmd.Flags(), &cutover, "cutover", cli.OneOf("auto", "manual"), "manual stops before it")
	cli.Flag(cmd.Flags(), &maxRate, "max-rate", cli.Whole("N", 0, math.MaxInt32), "messages a second at most; 0 for no limit")
	cli.Flag(cmd.Flags(), &workers, "workers", cli.Whole("N", 1, maxWorkers), "processes that build, which share MEMORY_LIMIT and the cores")
	cli.Flag(cmd.Flags(), &spool, "spool", cli.Whole("MIB", 0, 1<<20), "MiB of messages at most that are kept in TMPDIR for later passes; 0: each pass reads the stream")
	cmd.Flags().BoolVar(&worker, "worker", false, "")
	_ = cmd.Flags().MarkHidden("worker") // fails only for a flag that does not exist
	cmd.Flags().BoolVar(&restart, "restart", false, "give up a generation that is being built, and begin anew")
	p.cutoverFlags(cmd, &flags)
	return cmd
}

func (p *program) cutover() *cobra.Command {
	var flags cutoverFlags
	cmd := &cobra.Command{
		Use:   "cutover [--accept-differences] [--yes] [--list FILE] [--json]",
		Short: "Make the generation that `rebuild --cutover=manual` has built the live one",
		Example: `  # Compare the generation that was built with the live one, and make it the live one.
  projector cutover
  # They differ, and that is meant: list every account that does, and go on.
  projector cutover --accept-differences --list differences.txt`,
		RunE: p.onRebuild(acts.Cutover, func(ctx context.Context, r *rebuildCommand) error {
			if err := r.apply(flags); err != nil {
				return err
			}
			if err := r.FindBuilt(ctx); err != nil {
				return err
			}
			if err := r.decide(ctx); err != nil {
				return err
			}
			return r.CutOver(ctx)
		}),
	}
	p.cutoverFlags(cmd, &flags)
	return cmd
}

func (p *program) rollback() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback [--json]",
		Short: "Bring the generation that was live before to the stream's end, and cut back to it",
		Example: "  # Go back to the generation that was live before, which `projector generations list` shows as retired.\n" +
			"  projector rollback\n" +
			"  # The same from a script.\n" +
			"  projector rollback --json | jq .generation",
		RunE: p.onRebuild(acts.Rollback, func(ctx context.Context, r *rebuildCommand) error { return r.RollBack(ctx) }),
	}
	p.jsonFlag(cmd, jsonAndNotes)
	return cmd
}

// cutoverFlags are the flags of the commands that may cut over to a generation
// which differs from the live one.
type cutoverFlags struct {
	accept bool
	list   string
}

func (p *program) cutoverFlags(cmd *cobra.Command, f *cutoverFlags) {
	cmd.Flags().BoolVar(&f.accept, "accept-differences", false, "cut over although the generations differ")
	cmd.Flags().StringVar(&f.list, "list", "", "write every account that differs to this file, with what differs, a line each")
	p.yesFlag(cmd, yesEvenIfNone)
	p.jsonFlag(cmd, jsonAndNotes)
}

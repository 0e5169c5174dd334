package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/store"
)

// rebuildCommand is a rebuild, cut-over or roll-back, and what is said of it.
type rebuildCommand struct {
	*acts.Rebuilder
	*program
	list *os.File                                         // where all accounts that differ are written; nil: nowhere
	sure func(ctx context.Context, question string) error // asks, where somebody can be asked
	say  io.Writer                                        // for people: standard output, unless that is for JSON
	json *rebuiltLine                                     // nil: not wanted
}

// rebuiltLine is the result as JSON.
type rebuiltLine struct {
	Generation int64 `json:"generation"`
	Live       bool  `json:"live"`     // or it is ready to be cut over to
	Replaced   int64 `json:"replaced"` // that was live before; 0: none was replaced
}

func (p *program) newRebuild(cmd *cobra.Command, asJSON bool) (_ *rebuildCommand, err error) {
	ctx, log := cmd.Context(), p.cfg.Logger(p.err)
	r := &rebuildCommand{program: p, sure: p.confirmer(cmd), Rebuilder: &acts.Rebuilder{Command: cmd.Name(), Owner: replicaName()}}
	if r.say = p.out; asJSON {
		r.say, r.json = p.err, &rebuiltLine{}
	}
	client, err := p.connectReader(ctx, log)
	if err != nil {
		return nil, err
	}
	db, err := p.connect(ctx, connect.Writing)
	if err != nil {
		client.Close()
		return nil, err
	}
	r.Target = acts.NewTarget(client, db.pool)
	r.Direct = db.direct()
	waits, err := r.Ready(ctx)
	if err != nil {
		r.close(ctx)
		return nil, err
	}
	if waits {
		fmt.Fprintln(p.err, "a rebuild, cut-over or roll-back is running already, as `projector status` tells: this one begins when that has ended")
	}
	if r.Builder, err = store.OpenRebuildPool(ctx, string(p.cfg.DatabaseURL), db.link, log); err != nil {
		r.close(ctx)
		return nil, err
	}
	lanes := runtime.NumCPU() // commits cost the database little here
	if p.cfg.Lanes > 0 {
		lanes = int(p.cfg.Lanes)
	}
	batch := p.batch(lanes)
	batch.Events *= 5
	r.Engine = engine.Options{Lanes: lanes, CacheBytes: int(p.cfg.StateCacheBytes), Batch: batch, Read: p.read(), Logger: log}
	name := client.Stream()
	r.OnReplay = func(those []admin.Erasure, served []events.UUID) {
		sayUnfinished(r.say, name, those)
		sayServed(r.say, served)
	}
	r.OnReplayed = func(erasures int) { sayReplayed(r.say, erasures, name) }
	r.OnCutover = func(from, to int64) {
		if r.json != nil {
			*r.json = rebuiltLine{to, true, from}
			_ = p.printJSON(r.json) // output keeps the error
			return
		}
		fmt.Fprintf(p.out, "generation %d is live; generation %d is kept until `projector generations drop %d`\n", to, from, from)
	}
	return r, nil
}

func (r *rebuildCommand) close(ctx context.Context) {
	r.Close(ctx)
	r.Stream.Close()
	for _, pool := range []*pgxpool.Pool{r.Pool, r.Builder} {
		if pool != nil {
			pool.Close()
		}
	}
}

func (p *program) rebuild() *cobra.Command {
	cutover, list, maxRate := "auto", "", 0
	var restart, accept, yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild [--cutover auto|manual] [--max-rate N] [--restart] [--accept-differences] [--yes] [--list FILE] [--json]",
		Short: "Fold the stream from its start into a new generation, verify it, and cut over to it",
		Long: "The live generation is served and kept current by `projector run` meanwhile. Interrupted, whatever the moment, a\n" +
			"rebuild goes on where it was. Before the cut-over both generations are compared; where they differ although\n" +
			"this program folded both, it refuses. --accept-differences cuts over all the same: it says how many accounts would\n" +
			"answer 404 or go back, and on a terminal asks.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.newRebuild(cmd, asJSON)
			if err != nil {
				return err
			}
			defer r.close(ctx)
			r.Accept, r.Restart, r.Yes, r.MaxRate = accept, restart, yes, maxRate
			if err := r.openList(list); err != nil {
				return err
			}
			if err := r.Begin(ctx); err != nil {
				return err
			}
			show := newProgress(p.err)
			r.OnProgress = show.at
			err = r.Build(ctx)
			show.end(err == nil)
			if err != nil {
				return err
			}
			if err := r.decide(ctx); err != nil {
				return err
			}
			if cutover == "manual" {
				if asJSON {
					return p.printJSON(rebuiltLine{Generation: r.Generation})
				}
				fmt.Fprintf(p.out, "generation %d is ready; `projector cutover` makes it live\n", r.Generation)
				return nil
			}
			return r.CutOver(ctx)
		},
	}
	cli.Flag(cmd.Flags(), &cutover, "cutover", cli.OneOf("auto", "manual"), "manual stops before it")
	cli.Flag(cmd.Flags(), &maxRate, "max-rate", cli.Whole("N", 0, math.MaxInt32), "messages a second at most; 0 for no limit")
	cmd.Flags().BoolVar(&restart, "restart", false, "give up a generation that is being built, and begin anew")
	cmd.Flags().BoolVar(&accept, "accept-differences", false, "cut over although the generations differ")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; with --accept-differences also where no account would be left")
	cmd.Flags().StringVar(&list, "list", "", listUsage)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON, and all else on standard error")
	return cmd
}

const listUsage = "write every account that differs to this file, with what differs, a line each"

func (p *program) cutover() *cobra.Command {
	var accept, yes, asJSON bool
	var list string
	cmd := &cobra.Command{
		Use:   "cutover [--accept-differences] [--yes] [--list FILE] [--json]",
		Short: "Make the generation that `rebuild --cutover=manual` has built the live one",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.newRebuild(cmd, asJSON)
			if err != nil {
				return err
			}
			defer r.close(ctx)
			r.Accept, r.Yes = accept, yes
			if err := r.openList(list); err != nil {
				return err
			}
			if err := r.FindBuilt(ctx); err != nil {
				return err
			}
			if err := r.decide(ctx); err != nil {
				return err
			}
			return r.CutOver(ctx)
		},
	}
	cmd.Flags().BoolVar(&accept, "accept-differences", false, "cut over although the generations differ")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; with --accept-differences also where no account would be left")
	cmd.Flags().StringVar(&list, "list", "", listUsage)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON, and all else on standard error")
	return cmd
}

func (p *program) rollback() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rollback [--json]",
		Short: "Bring the generation that was live before to the stream's end, and cut back to it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.newRebuild(cmd, asJSON)
			if err != nil {
				return err
			}
			defer r.close(ctx)
			return r.RollBack(ctx)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON, and all else on standard error")
	return cmd
}

// openList opens it before anything is done.
func (r *rebuildCommand) openList(name string) (err error) {
	if name == "" {
		return nil
	}
	if r.list, err = os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("--list: %w", err)
	}
	return nil
}

// compare has all accounts that differ written to the list.
func (r *rebuildCommand) compare(ctx context.Context) (c acts.Comparison, err error) {
	if r.list == nil {
		return r.Compare(ctx)
	}
	w := bufio.NewWriter(r.list)
	r.OnDifference = func(d admin.Difference) error {
		_, err := fmt.Fprintf(w, "%s\t%s\n", d.Account, d.What)
		return err
	}
	c, err = r.Compare(ctx)
	if written := errors.Join(w.Flush(), r.list.Close()); written != nil && err == nil {
		err = fmt.Errorf("--list: %w", written)
	}
	return c, err
}

// decide says how the generation differs from the live one, and asks where
// cutting over to it takes something from people.
func (r *rebuildCommand) decide(ctx context.Context) error {
	c, err := r.compare(ctx)
	sayLost(r.say, &c.Lost)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.say, "compared with generation %d: %d accounts, %d of them differ; %d missing, %d new, %d on their way; %d tiers differ\n",
		c.Live, c.Compared, c.Different, c.Missing, c.New, c.Pending, c.Tiers)
	for section, n := range c.Sections {
		fmt.Fprintf(r.say, "  %s differs in %d accounts\n", section, n)
	}
	for _, d := range c.Sample {
		fmt.Fprintf(r.say, "  account %s: %s\n", d.Account, d.What)
	}
	if all := c.Different + c.Missing + c.New; r.list != nil {
		fmt.Fprintf(r.say, "  all %d are in %s\n", all, r.list.Name())
	} else if all > int64(len(c.Sample)) {
		fmt.Fprintf(r.say, "  and %d more; --list FILE writes all of them\n", all-int64(len(c.Sample)))
	}
	if c.ToErase > 0 {
		fmt.Fprintf(r.say, "  %d that are erased and are not so in generation %d are erased in it anew before it is cut over to\n", c.ToErase, c.Generation)
	}
	cost, err := r.Decide(c)
	if cost != "" {
		fmt.Fprintf(r.say, "accepting the differences: %s\n", cost)
	}
	if err != nil || cost == "" || r.Yes {
		return err
	}
	return r.sure(ctx, fmt.Sprintf("Cutting over to generation %d: %s.", c.Generation, cost))
}

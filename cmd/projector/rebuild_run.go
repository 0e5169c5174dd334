package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/connect"
	"accountexport/readmodel/store"
)

// rebuildCommand is a rebuild, cut-over or roll-back with what it prints.
type rebuildCommand struct {
	*acts.Rebuilder
	*program
	list *os.File // where all accounts that differ are written; nil for nowhere
}

// rebuiltLine is the result as JSON.
type rebuiltLine struct {
	Generation int64 `json:"generation"`
	Live       bool  `json:"live"`     // false: it is ready to be cut over to
	Replaced   int64 `json:"replaced"` // the generation that was live before; 0 where none was replaced

	Expected *acts.Expectation `json:"expected,omitempty"` // of `rebuild`
}

// onRebuild runs do with a rebuild that is ready, see [acts.Rebuilder.Ready], and
// closes it and its connections afterwards. The audit has it as what.
func (p *program) onRebuild(what string, do func(ctx context.Context, r *rebuildCommand) error) runFunc {
	return func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		r, err := p.newRebuild(ctx, cmd.Name())
		if err != nil {
			return err
		}
		defer r.close(ctx)
		return p.act(ctx, r.Pool, what, nil, rebuildDetail(cmd), func() error { return do(ctx, r) })
	}
}

// rebuildDetail says by which flags a rebuild or a cut-over was called that decide about
// documents.
func rebuildDetail(cmd *cobra.Command) string {
	var given []string
	for _, name := range []string{"restart", "accept-differences"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Value.String() == "true" {
			given = append(given, "--"+name)
		}
	}
	if f := cmd.Flags().Lookup("cutover"); f != nil && f.Value.String() == "manual" {
		given = append(given, "--cutover=manual")
	}
	return strings.Join(given, " ")
}

// newRebuild connects, and tells whoever waits that another rebuild is running.
func (p *program) newRebuild(ctx context.Context, command string) (_ *rebuildCommand, err error) {
	log := p.logger(p.err)
	client, err := p.connectReader(ctx, log)
	if err != nil {
		return nil, err
	}
	r := &rebuildCommand{program: p}
	if r.Rebuilder, err = p.makeRebuilder(ctx, client, command, log); err != nil {
		client.Close()
		return nil, err
	}
	r.Yes = p.yes
	waits, err := r.Ready(ctx)
	if err != nil {
		r.close(ctx)
		return nil, err
	}
	if waits {
		fmt.Fprintln(p.err, "a rebuild, cut-over or roll-back is running already, as `projector status` tells: this one begins when that has ended")
	}
	name := client.Stream()
	r.OnReplay = func(erasures []admin.Erasure, served []events.UUID) {
		printUnfinished(p.notes(), name, erasures)
		printServed(p.notes(), served)
	}
	r.OnReplayed = func(erasures int) { printReplayed(p.notes(), erasures, name) }
	r.OnCutover = func(from, to int64) {
		// An error of writing is kept by the output, and ends the program with 1.
		_ = p.result(rebuiltLine{to, true, from, r.Expected}, "generation %d is live; generation %d is kept until `projector generations drop %[2]d`\n", to, from)
	}
	return r, nil
}

// makeRebuilder makes a rebuild that is not ready yet, with pools of its own:
// [closePools] closes them. The client stays whoever's it is.
func (p *program) makeRebuilder(ctx context.Context, client *stream.Client, command string, log *slog.Logger) (*acts.Rebuilder, error) {
	db, err := p.connect(ctx, connect.Writing)
	if err != nil {
		return nil, err
	}
	r := &acts.Rebuilder{Target: acts.NewTarget(client, db.pool), Command: command, Owner: replicaName(), Spool: defaultSpool << 20}
	r.Direct = db.direct()
	if err := readmodel.CheckPaused(ctx, db.pool); err != nil { // before anything else is opened
		closePools(r)
		return nil, err
	}
	if r.Builder, err = store.OpenRebuildPool(ctx, string(p.cfg.DatabaseURL), db.link, log); err != nil {
		closePools(r)
		return nil, err
	}
	lanes := runtime.NumCPU() // all cores: what is committed here costs the database little
	if p.cfg.Lanes > 0 {
		lanes = int(p.cfg.Lanes)
	}
	batch := p.batch(lanes)
	batch.Events *= 5
	r.Engine = engine.Options{Lanes: lanes, CacheBytes: int(p.cfg.StateCacheBytes), Batch: batch, Read: p.read(), Logger: log}
	return r, nil
}

// closePools closes what [program.makeRebuilder] has opened.
func closePools(r *acts.Rebuilder) {
	for _, pool := range []*pgxpool.Pool{r.Pool, r.Builder} {
		if pool != nil {
			pool.Close()
		}
	}
}

// close gives back what the rebuild holds in the database, and closes the
// connections.
func (r *rebuildCommand) close(ctx context.Context) {
	r.Close(ctx)
	r.Stream.Close()
	closePools(r.Rebuilder)
}

// apply takes on the flags. The file of --list is opened before anything is done, so
// that a name that cannot be written costs nothing.
func (r *rebuildCommand) apply(f cutoverFlags) (err error) {
	r.Accept = f.accept
	if f.list == "" {
		return nil
	}
	if r.list, err = os.OpenFile(f.list, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("--list: %w", err)
	}
	return nil
}

// compare compares the generations, and writes all accounts that differ to the list.
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

// decide prints how the generation differs from the live one. It fails where the
// difference is not accepted, and asks for confirmation where cutting over takes
// something from people.
func (r *rebuildCommand) decide(ctx context.Context) error {
	c, err := r.compare(ctx)
	notes := r.notes()
	printLost(notes, &c.Lost)
	if err != nil {
		return err
	}
	fmt.Fprintf(notes, "compared with generation %d: %d accounts, %d of them differ; %d missing, %d new, %d on their way; %d tiers differ\n",
		c.Live, c.Compared, c.Different, c.Missing, c.New, c.Pending, c.Tiers)
	for section, n := range c.Sections {
		fmt.Fprintf(notes, "  %s differs in %d accounts\n", section, n)
	}
	for _, d := range c.Sample {
		fmt.Fprintf(notes, "  account %s: %s\n", d.Account, d.What)
	}
	if all := c.Different + c.Missing + c.New; r.list != nil {
		fmt.Fprintf(notes, "  all %d are in %s\n", all, r.list.Name())
	} else if all > int64(len(c.Sample)) {
		fmt.Fprintf(notes, "  and %d more; --list FILE writes all of them\n", all-int64(len(c.Sample)))
	}
	if c.ToErase > 0 {
		fmt.Fprintf(notes, "  %d that are erased and are not so in generation %d are erased in it anew before it is cut over to\n", c.ToErase, c.Generation)
	}
	cost, err := r.Decide(c)
	if cost != "" {
		fmt.Fprintf(notes, "accepting the differences: %s\n", cost)
	}
	if err != nil || cost == "" {
		return err
	}
	return r.confirm(ctx, fmt.Sprintf("Cutting over to generation %d: %s.", c.Generation, cost))
}

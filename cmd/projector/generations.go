package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

func (p *program) cutover() *cobra.Command {
	var accept, yes bool
	cmd := &cobra.Command{
		Use:   "cutover [--accept-differences] [--yes]",
		Short: "Make the generation that `rebuild --cutover=manual` has built the live one",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.rebuilding(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			r.accept, r.yes = accept, yes
			live, err := readmodel.Live(ctx, r.pool)
			if err != nil {
				return err
			}
			generation, position, end, err := r.reached(ctx)
			if errors.Is(err, readmodel.ErrNotFound) {
				return errors.New("no generation is being built; `projector rebuild --cutover=manual` builds one")
			}
			if err != nil {
				return err
			}
			// By another stream it would be given up, and one begun from that.
			on := acts.NewTarget(r.client, r.pool)
			if err := on.CheckGeneration(ctx, generation); err != nil {
				return fmt.Errorf("generation %d cannot be cut over to: %w", generation, err)
			}
			if end > position+100_000 {
				return fmt.Errorf("generation %d is at %d of %d: let `projector rebuild --cutover=manual` bring it nearer", generation, position, end)
			}
			store := readmodel.NewBuilder(r.builder, replicaName(), false, r.log)
			defer closeStore(ctx, store)
			if err := r.compare(ctx, store, live, generation); err != nil {
				return err
			}
			return r.cutOver(ctx, store, live.Number, generation)
		},
	}
	cmd.Flags().BoolVar(&accept, "accept-differences", false, "cut over although the generations differ")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; with --accept-differences also where no account would be left")
	return cmd
}

func (p *program) rollback() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback",
		Short: "Bring the generation that was live before to the stream's end, and cut back to it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			r, err := p.rebuilding(cmd)
			if err != nil {
				return err
			}
			defer r.close()
			live, err := readmodel.Live(ctx, r.pool)
			if err != nil {
				return err
			}
			before, err := lastRetired(ctx, r)
			if err != nil {
				return err
			}
			on := acts.NewTarget(r.client, r.pool)
			if err := on.CheckGeneration(ctx, before); err != nil {
				return fmt.Errorf("generation %d cannot be rolled back to: %w", before, err)
			}
			store := readmodel.NewReviver(r.builder, replicaName(), before, r.log)
			defer closeStore(ctx, store)
			if err := r.cutOver(ctx, store, live.Number, before); err != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				return errors.Join(err, readmodel.Retire(ctx, r.pool, before))
			}
			return nil
		},
	}
}

// lastRetired is the generation that was live last.
func lastRetired(ctx context.Context, r *rebuilding) (int64, error) {
	all, err := readmodel.Generations(ctx, r.pool)
	if err != nil {
		return 0, err
	}
	var last *readmodel.Generation
	for i, g := range all {
		if (g.State == readmodel.StateRetired || g.Reviving()) && (last == nil || g.Finished.After(*last.Finished)) {
			last = &all[i]
		}
	}
	if last == nil {
		return 0, errors.New("no generation is retired, so there is none to go back to")
	}
	return last.Number, nil
}

func (p *program) generations() *cobra.Command {
	var drop int64
	cmd := &cobra.Command{Use: "generations", Short: "See the generations, and drop those that are not needed"}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the generations",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			all, err := readmodel.Generations(cmd.Context(), pool)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "GENERATION\tSTATE\tVERSION\tPOSITION\tSTARTED\tFINISHED\tSTREAM\tFORMAT")
			for _, g := range all {
				position, err := readmodel.Lowest(cmd.Context(), pool, g.Number)
				if err != nil {
					return err
				}
				finished := "–"
				if g.Finished != nil {
					finished = g.Finished.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", g.Number, g.State, g.Version(), position,
					g.Started.UTC().Format(time.RFC3339), finished, g.Stream.Name, g.Format)
			}
			return w.Flush()
		},
	}, &cobra.Command{
		Use:   "drop GENERATION",
		Short: "Drop a generation that is not live, with its tables",
		Args:  cli.Arg(&drop, generationKind()),
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			if err := readmodel.Drop(cmd.Context(), pool, drop); err != nil {
				return err
			}
			fmt.Fprintf(p.out, "generation %d is dropped\n", drop)
			return nil
		},
	})
	return cmd
}

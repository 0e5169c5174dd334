package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func (p *program) generations() *cobra.Command {
	cmd := &cobra.Command{Use: "generations", Short: "See the generations, and drop those that are not needed"}
	cmd.AddCommand(p.generationsList(), p.generationsDrop())
	return cmd
}

// generationLine is a generation as JSON.
type generationLine struct {
	Generation int64      `json:"generation"`
	State      string     `json:"state"`
	Version    string     `json:"version"`
	Position   uint64     `json:"position"` // the lowest checkpoint
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Stream     string     `json:"stream"`
	Format     int        `json:"format"`
}

func (p *program) generationsList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json]",
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
			if !asJSON {
				fmt.Fprintln(w, "GENERATION\tSTATE\tVERSION\tPOSITION\tSTARTED\tFINISHED\tSTREAM\tFORMAT")
			}
			for _, g := range all {
				position, err := readmodel.LowestPosition(cmd.Context(), pool, g.Number)
				if err != nil {
					return err
				}
				l := generationLine{g.Number, g.State, g.Version(), position, g.Started.UTC(), nil, g.Stream.Name, g.Format}
				finished := "–"
				if g.Finished != nil {
					l.FinishedAt = new(g.Finished.UTC())
					finished = l.FinishedAt.Format(time.RFC3339)
				}
				if asJSON {
					if err := p.printJSON(l); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", l.Generation, l.State, l.Version, l.Position,
					l.StartedAt.Format(time.RFC3339), finished, cli.Printable(l.Stream), l.Format)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON line for each generation")
	return cmd
}

// droppedLine is the result as JSON.
type droppedLine struct {
	Dropped int64 `json:"dropped"` // the generation
}

func (p *program) generationsDrop() *cobra.Command {
	var drop int64
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "drop GENERATION [--yes] [--json]",
		Short: "Drop a generation that is not live, with its tables",
		Long: "There is no way back to it by `projector rollback` then. On a terminal it asks first; elsewhere it goes on unasked. A\n" +
			"generation that is being built is given up.",
		Args: cli.Arg(&drop, generationKind()),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			pool, err := p.connectDatabase(ctx)
			if err != nil {
				return err
			}
			defer pool.Close()
			if g, err := readmodel.FindGeneration(ctx, pool, drop); err == nil && !yes {
				err := p.confirmer(cmd)(ctx, fmt.Sprintf("Generation %d, %s, goes with its tables, and nothing can be rolled back to it.", drop, g.State))
				if err != nil {
					return err
				}
			}
			if err := admin.Drop(ctx, pool, drop); err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(droppedLine{drop})
			}
			_, err = fmt.Fprintf(p.out, "generation %d is dropped\n", drop)
			return err
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

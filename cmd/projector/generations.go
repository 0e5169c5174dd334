package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func (p *program) generations() *cobra.Command {
	return group("generations", "See the generations, and drop those that are not needed",
		`  # Which generation is live, and which is kept to roll back to?
  projector generations list
  # Free the space of one that is not needed.
  projector generations drop 1`,
		p.generationsList(), p.generationsDrop())
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
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List the generations",
		Example: `  # Which generation is live, and which is kept to roll back to?
  projector generations list
  # The number of the live one.
  projector generations list --json | jq 'select(.state == "live").generation'`,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			all, err := readmodel.Generations(ctx, pool)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			if !p.asJSON {
				fmt.Fprintln(w, "GENERATION\tSTATE\tVERSION\tPOSITION\tSTARTED\tFINISHED\tSTREAM\tFORMAT")
			}
			for _, g := range all {
				position, err := readmodel.LowestPosition(ctx, pool, g.Number)
				if err != nil {
					return err
				}
				l := generationLine{g.Number, g.State, g.Version(), position, g.Started.UTC(), nil, g.Stream.Name, g.Format}
				finished := "–"
				if g.Finished != nil {
					l.FinishedAt = new(g.Finished.UTC())
					finished = l.FinishedAt.Format(time.RFC3339)
				}
				if p.asJSON {
					if err := p.printJSON(l); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", l.Generation, l.State, l.Version, l.Position,
					l.StartedAt.Format(time.RFC3339), finished, cli.Printable(l.Stream), l.Format)
			}
			return w.Flush()
		}),
	}
	p.jsonFlag(cmd, "print a JSON line for each generation")
	return cmd
}

// droppedLine is the result as JSON.
type droppedLine struct {
	Dropped int64 `json:"dropped"` // the generation
}

func (p *program) generationsDrop() *cobra.Command {
	var number int64
	cmd := &cobra.Command{
		Use:   "drop GENERATION [--yes] [--json]",
		Short: "Drop a generation that is not live, with its tables",
		Long: "There is no way back to it by `projector rollback` then. On a terminal it asks first; elsewhere it goes on unasked. A\n" +
			"generation that is being built is given up.",
		Example: "  # Free the space of generation 1; `projector rollback` cannot go back to it then.\n" +
			"  projector generations drop 1\n" +
			"  # The same from a script.\n" +
			"  projector generations drop 1 --yes --json",
		Args: cli.Arg(&number, generationKind()),
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			return p.act(ctx, pool, acts.GenerationDrop, nil, fmt.Sprintf("generation %d", number), func() error {
				// Of a generation that is not there nothing is asked: Drop refuses it.
				if g, err := readmodel.FindGeneration(ctx, pool, number); err == nil {
					err := p.confirm(ctx, fmt.Sprintf("Generation %d, %s, goes with its tables, and nothing can be rolled back to it.", number, g.State))
					if err != nil {
						return err
					}
				}
				if err := admin.Drop(ctx, pool, number); err != nil {
					return err
				}
				return p.result(droppedLine{number}, "generation %d is dropped\n", number)
			})
		}),
	}
	p.yesFlag(cmd, yesDoNotAsk)
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/readmodel"
)

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

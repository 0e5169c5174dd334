package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"accountexport/readmodel"
)

func (p *program) provision() *cobra.Command {
	return &cobra.Command{
		Use:   "provision",
		Short: "Create or check the stream, and migrate the database",
		Long: "Creates the stream or checks that it is as it must be, and brings the database to this program's schema.\n" +
			"May be repeated. A stream that differs is refused, naming each difference; another partition count is none.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
			if err != nil {
				return err
			}
			defer client.Close()
			res, err := client.Provision(ctx)
			if err != nil {
				return fmt.Errorf("provision stream %s: %w", p.cfg.Stream, err)
			}
			if err := readmodel.Migrate(ctx, string(p.cfg.DatabaseURL)); err != nil {
				return err
			}
			verb := "checked"
			if res.Created {
				verb = "created"
			}
			fmt.Fprintf(p.out, "stream %s %s, %d partitions; database migrated\n", p.cfg.Stream, verb, res.Partitions)
			return nil
		},
	}
}

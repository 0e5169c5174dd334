package main

import (
	"context"
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
			if err := p.enterTombstones(ctx); err != nil {
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

// enterTombstones enters into the ledger of erasures who was erased before there
// was one, or by an older program beside this one.
func (p *program) enterTombstones(ctx context.Context) error {
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	entered, err := readmodel.EnterTombstones(ctx, pool)
	if err == nil && entered > 0 {
		fmt.Fprintf(p.out, "%d accounts that were erased before are entered into the ledger of erasures\n", entered)
	}
	return err
}

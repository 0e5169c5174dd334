package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
)

func (p *program) publish() *cobra.Command {
	return &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Publish one structured CloudEvent, from a file or standard input, to try things out",
		Long: "Reads one JSON CloudEvent. Its partitionkey names the account, or the tier of a quota_tier event.\n" +
			"An event that the projector would park is refused. Prints the position.",
		Annotations: map[string]string{streamOnly: "yes"},
		Args:        cli.MaybeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if len(args) == 1 {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			payload, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			m, err := events.Address(payload)
			if err != nil {
				return fmt.Errorf("event: %w", err)
			}
			ctx := cmd.Context()
			client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
			if err != nil {
				return err
			}
			defer client.Close()
			position, duplicate, err := client.Publish(ctx, m)
			if err != nil {
				return err
			}
			if duplicate {
				fmt.Fprintf(p.out, "position %d, a duplicate: an event with this id was published a short time ago\n", position)
				return nil
			}
			fmt.Fprintf(p.out, "position %d\n", position)
			return nil
		},
	}
}

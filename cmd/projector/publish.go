package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/internal/secret"
)

// publishedLine is the result as JSON.
type publishedLine struct {
	Position  uint64 `json:"position"`
	Duplicate bool   `json:"duplicate"` // an event with this id was published a short time ago
}

func (p *program) publish() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "publish [FILE] [--json]",
		Short: "Publish one structured CloudEvent, from a file or standard input, to try things out",
		Long: "Reads one JSON CloudEvent. Its partitionkey names the account, or the tier of a quota_tier event.\n" +
			"An event that the projector would park is refused. Prints the position.",
		Annotations: map[string]string{streamOnly: "yes"},
		Args:        cli.MaybeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, done, err := input(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			ctx := cmd.Context()
			payload, err := readAll(ctx, in)
			if err != nil {
				return quoted(err)
			}
			m, err := events.Address(payload)
			if err != nil {
				return fmt.Errorf("event: %w", err)
			}
			client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
			if err != nil {
				return err
			}
			defer client.Close()
			position, duplicate, err := client.Publish(ctx, m)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(publishedLine{position, duplicate})
			}
			if duplicate {
				fmt.Fprintf(p.out, "position %d, a duplicate: an event with this id was published a short time ago\n", position)
				return nil
			}
			fmt.Fprintf(p.out, "position %d\n", position)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// quoted is an error about a file whose name, which may have been meant for
// something else, shows no secret.
func quoted(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s %s: %w", path.Op, secret.Quote(path.Path), path.Err)
	}
	return err
}

// input is what a command with [cli.MaybeFile] reads: the file, or else standard
// input. done closes what was opened.
func input(cmd *cobra.Command, args []string) (in io.Reader, done func(), err error) {
	if len(args) == 0 {
		return cmd.InOrStdin(), func() {}, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, quoted(err)
	}
	return f, func() { f.Close() }, nil
}

// readAll reads to the end, or until ctx ends: somebody who is asked to end does
// not wait for what a terminal may never send. What is still being read then
// ends with the process.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type all struct {
		bytes []byte
		err   error
	}
	read := make(chan all, 1)
	go func() {
		b, err := io.ReadAll(in)
		read <- all{b, err}
	}()
	select {
	case a := <-read:
		return a.bytes, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

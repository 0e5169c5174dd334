package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/secret"
	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections"
)

// publishedLine is the result as JSON.
type publishedLine struct {
	Position  uint64 `json:"position"`
	Duplicate bool   `json:"duplicate"` // an event with this id was published a short time ago
}

func (p *program) publish() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish [FILE] [--json]",
		Short: "Publish one structured CloudEvent, from a file or standard input, to try things out",
		Long: "Reads one JSON CloudEvent. Its partitionkey names the account, or the tier of a quota_tier event.\n" +
			"An event that the projector would park is refused. Prints the position.",
		Example: `  # An event from a file.
  projector publish event.json
  # Another event that is like it: ids count once.
  jq '.id = "another"' event.json | projector publish`,
		Annotations: map[string]string{streamOnly: "yes"},
		Args:        cli.MaybeFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, done, err := input(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			payload, err := readAll(cmd.Context(), in)
			if err != nil {
				return quoted(err)
			}
			m, err := events.Address(payload)
			if err != nil {
				return fmt.Errorf("event: %w", err)
			}
			return p.withStream(cmd.Context(), func(ctx context.Context, client *stream.Client) error {
				return p.actOnStream(ctx, acts.Publish, accountOf(m), publishedDetail(m), func() error {
					traced := m
					traced.Header = tracing.WithTraceparent(m.Header, tracing.Traceparent(ctx))
					position, duplicate, err := client.Publish(ctx, traced)
					if p.tracing.On() && stream.RefusesMessage(err) { // it may fit without a traceparent
						position, duplicate, err = client.Publish(ctx, m)
					}
					if err != nil {
						return err
					}
					why := ""
					if duplicate {
						why = ", a duplicate: an event with this id was published a short time ago"
					}
					return p.result(publishedLine{position, duplicate}, "position %d%s\n", position, why)
				})
			})
		},
	}
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

// accountOf is the account that a message is of, nil where it is a tier's.
func accountOf(m events.Message) *events.UUID {
	if to := events.ParseSubject(m.Subject); to.Kind == events.SubjectAccount {
		return &to.Account
	}
	return nil
}

// publishedDetail is what the audit may know of a message.
func publishedDetail(m events.Message) string {
	d, err := projections.Decode(projections.Message{Message: m})
	if err != nil {
		return ""
	}
	return knownType(d.Event.Type)
}

// quoted quotes the file's name in an error, and hides it where it may hold a
// secret: what was given for a file may have been meant for something else.
func quoted(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s %s: %w", path.Op, secret.Quote(path.Path), path.Err)
	}
	return err
}

// input is what a command with [cli.MaybeFile] reads: the file that was named, or
// else standard input. done closes the file.
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

// readAll reads to the end, or until ctx ends: a program that is asked to end does
// not wait for input that a terminal may never send. The read that is still waiting
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

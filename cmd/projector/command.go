package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
)

// This file holds what commands have in common. A command itself is a method of
// program in a file of its own: it returns a cobra.Command that states how it is
// called, adds its flags, and runs within onStream, onDatabase or onTarget. The
// list in main.go registers it.

// group is a command that only holds others.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example}
	cmd.AddCommand(commands...)
	return cmd
}

const (
	jsonResult    = "print the result as JSON"
	jsonAndNotes  = "print the result as JSON, and all else on standard error"
	yesDoNotAsk   = "do not ask"
	yesEvenIfNone = "do not ask; with --accept-differences also where no account would be left"
)

// jsonFlag adds --json to a command; see [program.result] and [program.notes].
func (p *program) jsonFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&p.asJSON, "json", false, usage)
}

// yesFlag adds --yes to a command; see [program.confirm].
func (p *program) yesFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&p.yes, "yes", false, usage)
}

// runFunc is what cobra calls to run a command.
type runFunc = func(cmd *cobra.Command, args []string) error

// streamOnly marks the commands that need no database: for them the settings of
// the database are neither required nor judged.
const streamOnly = "stream only"

// outboxOnly marks the commands that need the outbox's database instead.
const outboxOnly = "outbox only"

// serversWith names the flags, with blanks between them, without which a command asks
// no server: then the settings in the environment are not judged.
const serversWith = "servers with"

// onStream runs do with a connection to JetStream, and closes it afterwards.
func (p *program) onStream(do func(ctx context.Context, client *stream.Client) error) runFunc {
	return func(cmd *cobra.Command, _ []string) error { return p.withStream(cmd.Context(), do) }
}

// onDatabase runs do with a pool of connections to the database, and closes it
// afterwards.
func (p *program) onDatabase(do func(ctx context.Context, pool *pgxpool.Pool) error) runFunc {
	return func(cmd *cobra.Command, _ []string) error { return p.withDatabase(cmd.Context(), do) }
}

// onTarget runs do with both, as an act takes them, and closes both afterwards.
func (p *program) onTarget(do func(ctx context.Context, on acts.Target) error) runFunc {
	return func(cmd *cobra.Command, _ []string) error { return p.withTarget(cmd.Context(), do) }
}

// withStream is onStream for commands that read something else first.
func (p *program) withStream(ctx context.Context, do func(ctx context.Context, client *stream.Client) error) error {
	client, err := p.connectStream(ctx, p.logger(p.err))
	if err != nil {
		return err
	}
	defer client.Close()
	return do(ctx, client)
}

// withDatabase is onDatabase for commands that read something else first.
func (p *program) withDatabase(ctx context.Context, do func(ctx context.Context, pool *pgxpool.Pool) error) error {
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(ctx, pool)
}

func (p *program) withTarget(ctx context.Context, do func(ctx context.Context, on acts.Target) error) error {
	client, err := p.connectReader(ctx, p.logger(p.err))
	if err != nil {
		return err
	}
	defer client.Close()
	return p.withDatabase(ctx, func(ctx context.Context, pool *pgxpool.Pool) error {
		return do(ctx, acts.NewTarget(client, pool))
	})
}

// result prints what a command has come to: v as one line of JSON with --json,
// and the text without. The text has to be printable, see [cli.Printable].
func (p *program) result(v any, format string, args ...any) error {
	if p.asJSON {
		return p.printJSON(v)
	}
	_, err := fmt.Fprintf(p.out, format, args...)
	return err
}

// printJSON prints one value in one line.
func (p *program) printJSON(v any) error { return json.NewEncoder(p.out).Encode(v) }

// notes is where a command tells people what it finds and does on the way:
// standard output, or standard error where standard output is for JSON.
func (p *program) notes() io.Writer {
	if p.asJSON {
		return p.err
	}
	return p.out
}

// confirm asks a question on a terminal, and ends with [acts.ErrDeclined] unless
// the answer is yes. It asks nothing with --yes, and nothing where standard input
// is no terminal: scripts go on without being asked.
func (p *program) confirm(ctx context.Context, question string) error {
	in, ok := p.in.(*os.File)
	if p.yes || !ok || !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return ask(ctx, in, p.err, question)
}

// ask asks on a terminal. Any answer but yes is a no, and so is the end of the
// input. When ctx ends it returns at once; the read that is still waiting ends
// with the process.
func ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, cli.Printable(question)+" Type yes: ")
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		answered <- strings.TrimSpace(line)
	}()
	select {
	case answer := <-answered:
		if answer != "yes" {
			return acts.ErrDeclined
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

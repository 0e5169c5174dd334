package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

func (p *program) erase() *cobra.Command {
	e := &acts.Eraser{}
	var asJSON, yes, dryRun bool
	cmd := &cobra.Command{
		Use:   "erase --account ID [--dry-run] [--yes] [--purge-copies NAMES] [--json]",
		Short: "Erase an account from the stream and from every generation, and prove it",
		Long: "Tests what can be tested first, and names what is missing before anything is done. Then publishes account.erased, waits\n" +
			"until `projector run` has projected it, removes the account's other messages from the stream, clears every generation,\n" +
			"looks for its id and e-mail addresses, in either case, in what is on mistyped subjects, and then searches stream and\n" +
			"tables. Interrupted anywhere, a second run completes it, and several at once do no harm.\n\n" +
			"Mirrors of the stream and streams that source from it keep what they have: they are named, and the exit status is 1,\n" +
			"unless --purge-copies names each of them. Copies in other NATS accounts cannot be seen.\n\n" +
			"On a terminal it asks first; elsewhere it goes on unasked.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			on, done, err := p.target(ctx)
			if err != nil {
				return err
			}
			defer done()
			e.Target, e.Takeover = on, time.Duration(p.cfg.TakeoverAfter)
			e.OnWait = func(generation int64, position, erased uint64) {
				fmt.Fprintf(p.err, "waiting until generation %d, at %d, has projected position %d\n", generation, position, erased)
			}
			sure := p.confirmer(cmd)
			// What another stream holds says nothing of this account.
			if err := on.Check(ctx); err != nil && !errors.Is(err, readmodel.ErrNoGeneration) {
				return fmt.Errorf("account %s cannot be erased: %w", e.Account, err)
			}
			switch heard, err := e.Inspect(ctx); {
			case err != nil:
				return err
			case !heard && asJSON:
				return json.NewEncoder(p.out).Encode(map[string]any{"account": e.Account.String(), "heard_of": false})
			case !heard:
				_, err := fmt.Fprintf(p.out, "account %s was never heard of: there is nothing to erase\n", e.Account)
				return err
			}
			if err := e.Preflight(ctx); err != nil {
				return err
			}
			if dryRun {
				plan, err := e.Plan(ctx)
				if err != nil {
					return err
				}
				return printPlan(p.out, plan, asJSON)
			}
			if !yes {
				if err := sure(ctx, question(e)); err != nil {
					return err
				}
			}
			r, err := e.Run(ctx)
			if err != nil {
				return err
			}
			if err := printReceipt(p.out, r, asJSON); err != nil {
				return err
			}
			return r.Incomplete()
		},
	}
	cli.Required(cmd.Flags(), &e.Account, "account", accountKind(), "the account's UUID")
	cli.Flag(cmd.Flags(), &e.PurgeCopies, "purge-copies", streamsKind(), "remove the account from these copies of the stream, too")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "test, look, say what would be done, and change nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the receipt, or what --dry-run says, as JSON")
	return cmd
}

var streamName = regexp.MustCompile(`^[^\s\x00-\x1f\x7f.*>/\\]+$`)

// streamsKind is a list of streams' names.
func streamsKind() cli.Kind[[]string] {
	return cli.Kind[[]string]{Name: "NAMES", Right: "names of streams, separated by commas", Parse: func(s string) ([]string, error) {
		names := strings.Split(s, ",")
		for _, name := range names {
			if !streamName.MatchString(name) {
				return nil, errors.New("no name of a stream")
			}
		}
		slices.Sort(names)
		return slices.Compact(names), nil
	}}
}

// confirmer asks on a terminal, and goes on unasked elsewhere.
func (p *program) confirmer(cmd *cobra.Command) func(ctx context.Context, question string) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return func(context.Context, string) error { return nil }
	}
	return func(ctx context.Context, question string) error { return ask(ctx, in, p.err, question) }
}

// errNotAsked is the answer to who does not say yes.
var errNotAsked = errors.New("nothing was changed")

// ask asks on a terminal. Anything but yes is a no.
func ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, cli.Printable(question)+" Type yes: ")
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // an end without a line is a no
		answered <- strings.TrimSpace(line)
	}()
	select {
	case answer := <-answered:
		if answer != "yes" {
			return errNotAsked
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

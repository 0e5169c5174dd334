package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel"
)

func (p *program) erase() *cobra.Command {
	e := &acts.Eraser{}
	var dryRun bool
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
		Example: `  # What would go? Changes nothing.
  projector erase --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --dry-run
  # Erase, and keep the receipt.
  projector erase --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --json > receipt.json
  # Erase from two copies of the stream as well.
  projector erase --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --purge-copies MIRROR,ARCHIVE`,
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) error {
			e.Target, e.Takeover = on, time.Duration(p.cfg.TakeoverAfter)
			e.OnWait = func(generation int64, position, erased uint64) {
				fmt.Fprintf(p.err, "waiting until generation %d, at %d, has projected position %d\n", generation, position, erased)
			}
			if dryRun {
				if err := p.look(ctx, on.Pool, acts.AccountErasePlan, &e.Account, ""); err != nil {
					return err
				}
				return p.eraseAccount(ctx, e, true)
			}
			detail := ""
			if n := len(e.PurgeCopies); n > 0 {
				detail = fmt.Sprintf("and from %d copies", n)
			}
			return p.act(ctx, on.Pool, acts.AccountErase, &e.Account, detail, func() error { return p.eraseAccount(ctx, e, false) })
		}),
	}
	cli.Required(cmd.Flags(), &e.Account, "account", accountKind(), "the account's UUID")
	cli.Flag(cmd.Flags(), &e.PurgeCopies, "purge-copies", streamsKind(), "remove the account from these copies of the stream, too")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "test, look, say what would be done, and change nothing")
	p.yesFlag(cmd, yesDoNotAsk)
	p.jsonFlag(cmd, "print the receipt, or what --dry-run says, as JSON")
	return cmd
}

// eraseAccount erases, or says what would be erased.
func (p *program) eraseAccount(ctx context.Context, e *acts.Eraser, dryRun bool) error {
	// Another stream holds other messages of the account, or none.
	if err := e.Check(ctx); err != nil && !errors.Is(err, readmodel.ErrNoGeneration) {
		return fmt.Errorf("account %s cannot be erased: %w", e.Account, err)
	}
	if known, err := e.Inspect(ctx); err != nil {
		return err
	} else if !known {
		return p.forgetLooks(ctx, e, dryRun)
	}
	if err := e.Preflight(ctx); err != nil {
		return err
	}
	if dryRun {
		plan, err := e.Plan(ctx)
		if err != nil {
			return err
		}
		return p.printPlan(plan)
	}
	question := fmt.Sprintf("Account %s goes from stream %s and from the read model, for ever: %d messages, %d rows.", e.Account,
		e.Stream.Stream(), e.Messages, e.Rows.Rows-e.Rows.Audited)
	if err := p.confirm(ctx, question); err != nil {
		return err
	}
	r, err := e.Run(ctx)
	if err != nil {
		return err
	}
	if err := p.printReceipt(r); err != nil {
		return err
	}
	return r.Incomplete()
}

// forgetLooks is for an account that was never heard of. Whoever has looked for it has
// left lines in the audit that name it: these no longer do.
func (p *program) forgetLooks(ctx context.Context, e *acts.Eraser, dryRun bool) error {
	lines, would := e.Rows.Audited, " would"
	if !dryRun {
		var err error
		if lines, err = e.ForgetLooks(ctx); err != nil {
			return err
		}
		would = ""
	}
	also := ""
	if lines > 0 {
		also = fmt.Sprintf("; %d lines of the audit%s no longer name it", lines, would)
	}
	return p.result(map[string]any{"account": e.Account.String(), "heard_of": false, "audit_lines": lines},
		"account %s was never heard of: there is nothing to erase%s\n", e.Account, also)
}

// streamName is what a stream may be called: JetStream allows no blanks, control
// characters, dots, wildcards, slashes or backslashes in it.
var streamName = regexp.MustCompile(`^[^\s\x00-\x1f\x7f.*>/\\]+$`)

// streamsKind is a list of names of streams, without repetitions.
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

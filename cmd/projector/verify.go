package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

func (p *program) verify() *cobra.Command {
	var account *events.UUID
	sample := 100
	var all bool
	cmd := &cobra.Command{
		Use:   "verify [--sample N|--all|--account ID] [--json]",
		Short: "Hold what is stored against the stream; exit 1 on any difference",
		Long: "Refolds accounts from the stream up to the checkpoints, and compares all that is stored of them by its digest, and where\n" +
			"that differs by section; the tiers, too. Accounts are those of the read model and those of the stream: one that was\n" +
			"lost is a difference, as is one that never was, and what lies beside a row that is not there (--all).\n" +
			"Where `projector run` would refuse the stream, it ends with the status that `run` would end with, and notes nothing.\n" +
			"A row from before rows said what went into them, and which is right, says so from then on.\n" +
			"With --all, standard error shows how many accounts are compared, of how many, and the time left.",
		Example: `  # 100 accounts at random: a check for every day.
  projector verify
  # Every account; progress is on standard error.
  projector verify --all
  # Which accounts and tiers differ?
  projector verify --all --json | jq -r 'select(.differences != []) | .account // .tier'
  # What is wrong with this one?
  projector verify --account 3c90c3cc-0d44-4b50-8888-8dd25736052a`,
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) (err error) {
			if account != nil {
				if err := p.look(ctx, on.Pool, acts.AccountVerify, account, ""); err != nil {
					return err
				}
			}
			// Verifying only reads, so it goes on where the stream is refused, and ends
			// with the refusal.
			var refused error
			if account != nil {
				refused = on.Check(ctx, *account)
			} else {
				refused = on.CheckAll(ctx)
			}
			if refused != nil && !acts.IsRefusal(refused) {
				return refused
			}
			v := &acts.Verifier{Target: on, Unattributed: true, OnVerdict: p.printVerdict}
			switch {
			case account != nil:
				err = v.Account(ctx, *account)
			case all && !p.asJSON:
				show := newVerifyProgress(p.err)
				v.OnProgress = show.at
				v.OnVerdict = func(v acts.Verdict) error {
					if !v.Same() {
						show.clear()
					}
					return p.printVerdict(v)
				}
				err = v.All(ctx)
				show.end(err == nil)
			case all:
				err = v.All(ctx)
			default:
				err = v.Sample(ctx, sample)
			}
			if err != nil {
				return err
			}
			if !p.asJSON {
				fmt.Fprintf(p.out, "%d accounts and %d tiers compared, %d differ; %d accounts have a row, and of %d the stream holds messages\n",
					v.Accounts, v.Tiers, v.Differ, v.Rows, v.InStream)
			}
			switch {
			case refused != nil && v.Differ == 0:
				return fmt.Errorf("nothing differs, and `projector run` would refuse the stream all the same: %w", refused)
			case refused != nil:
				return fmt.Errorf("%d differ, and this is not the stream to mend them by, since `projector run` would refuse it: %w", v.Differ, refused)
			case v.Differ == 0:
				return nil
			}
			return errors.New(v.Advice())
		}),
	}
	cli.Flag(cmd.Flags(), &sample, "sample", cli.Whole("N", 1, math.MaxInt32), "so many accounts, at random, half of them drawn from the stream")
	cmd.Flags().BoolVar(&all, "all", false, "every account")
	cli.Flag(cmd.Flags(), &account, "account", maybe(accountKind()), "this account")
	p.jsonFlag(cmd, "print a JSON line for each account and tier")
	cmd.MarkFlagsMutuallyExclusive("sample", "all", "account")
	return cmd
}

// printVerdict prints each difference in a line, and with --json every verdict.
func (p *program) printVerdict(v acts.Verdict) error {
	if p.asJSON {
		return p.printJSON(v)
	}
	what := "account " + v.Account
	switch {
	case v.Tier != "":
		what = "tier " + v.Tier
	case v.Account == "":
		what = "messages of nobody"
	}
	for _, d := range v.Differences {
		if _, err := fmt.Fprintf(p.out, "%s at %d: %s\n", what, v.Position, cli.Printable(d)); err != nil {
			return err
		}
	}
	return nil
}

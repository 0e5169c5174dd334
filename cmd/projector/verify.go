package main

import (
	"encoding/json"
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
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [--sample N|--all|--account ID] [--json]",
		Short: "Hold what is stored against the stream; exit 1 on any difference",
		Long: "Refolds accounts from the stream up to the checkpoints, and compares all that is stored of them by its digest, and where\n" +
			"that differs by section; the tiers, too. Accounts are those of the read model and those of the stream: one that was\n" +
			"lost is a difference, as is one that never was, and what lies beside a row that is not there (--all).\n" +
			"Where `projector run` would refuse the stream, it ends with the status that `run` would end with, and notes nothing.\n" +
			"A row from before rows said what went into them, and which is right, says so from then on.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			on, done, err := p.target(ctx)
			if err != nil {
				return err
			}
			defer done()
			// It only reads, so it goes on where the stream is refused, and says so.
			check := func() error { return on.CheckAll(ctx) }
			if account != nil {
				check = func() error { return on.Check(ctx, *account) }
			}
			refused := check()
			if refused != nil && !acts.IsRefusal(refused) {
				return refused
			}
			v := &acts.Verifier{Target: on, Unattributed: true, OnVerdict: func(res acts.Verdict) error { return p.printVerdict(res, asJSON) }}
			switch {
			case account != nil:
				err = v.Account(ctx, *account)
			case all:
				err = v.All(ctx)
			default:
				err = v.Sample(ctx, sample)
			}
			if err != nil {
				return err
			}
			if !asJSON {
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
		},
	}
	cli.Flag(cmd.Flags(), &sample, "sample", cli.Whole("N", 1, math.MaxInt32), "so many accounts, at random, half of them drawn from the stream")
	cmd.Flags().BoolVar(&all, "all", false, "every account")
	cli.Flag(cmd.Flags(), &account, "account", maybe(accountKind()), "this account")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON line for each account and tier")
	cmd.MarkFlagsMutuallyExclusive("sample", "all", "account")
	return cmd
}

func (p *program) printVerdict(v acts.Verdict, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.out).Encode(v)
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

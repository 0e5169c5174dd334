package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/projections"
	"accountexport/readmodel"
)

func (p *program) refold() *cobra.Command {
	var account events.UUID
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "refold --account ID [--accept-loss]",
		Short: "Replace an account's row with a fold of its own messages by this program",
		Long: "A row counts the messages that it was made of. Where the stream holds fewer of them by now, the row is left as\n" +
			"it is, both numbers are told, and the exit status is 1; --accept-loss replaces it all the same. A row from before\n" +
			"rows counted, which no verification has found right since, must not become smaller.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.refoldThose(cmd.Context(), &account, acceptLoss)
		},
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "also where the stream no longer holds all that the row was made of")
	return cmd
}

func (p *program) parkedRetry() *cobra.Command {
	var account *events.UUID
	var all bool
	cmd := &cobra.Command{
		Use:   "retry (--account ID|--all)",
		Short: "Refold the accounts with parked messages by this program",
		Long: "The fold is pure: within one projection version a retry changes nothing, and says so. It is for a newer program,\n" +
			"which accepts what an older one parked. What the stream has lost messages of is left as it is and named, and the\n" +
			"exit status is 1.",
		Args: func(cmd *cobra.Command, given []string) error {
			if cmd.Flags().Changed("all") && !all {
				return errors.New("--all is false: it has to be left out, or given without a value")
			}
			return cli.NoArgs(cmd, given)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return p.refoldThose(cmd.Context(), account, false) },
	}
	cli.Flag(cmd.Flags(), &account, "account", maybe(accountKind()), "this account")
	cmd.Flags().BoolVar(&all, "all", false, "every account with parked messages")
	cmd.MarkFlagsMutuallyExclusive("account", "all")
	cmd.MarkFlagsOneRequired("account", "all")
	return cmd
}

// refoldThose refolds the account, or all with parked messages.
func (p *program) refoldThose(ctx context.Context, account *events.UUID, acceptLoss bool) error {
	on, done, err := p.target(ctx)
	if err != nil {
		return err
	}
	defer done()
	f := &acts.Refolding{Target: on, AcceptLoss: acceptLoss,
		Changed: func(what string) { fmt.Fprintf(p.out, "%s has changed\n", what) },
		Left:    func(what string, why error) { fmt.Fprintf(p.out, "%s is left as it is: %v\n", what, why) },
	}
	if account == nil {
		err = f.Retry(ctx)
	} else {
		err = f.Account(ctx, *account)
	}
	if errors.Is(err, readmodel.ErrNotFound) {
		return fmt.Errorf("account %s was never heard of", account)
	}
	if err != nil {
		return err
	}
	tiers := ""
	if f.Tiers > 0 {
		tiers = fmt.Sprintf(" and %d tiers", f.Tiers)
	}
	_, err = fmt.Fprintf(p.out, "%d accounts%s refolded by projection version %d.%d, %d have changed\n", f.Accounts, tiers,
		projections.VersionMajor, projections.VersionMinor, f.Refolded.Changed)
	if err == nil && f.Refolded.Left > 0 {
		return fmt.Errorf("%d accounts or tiers could not be refolded and are left as they are", f.Refolded.Left)
	}
	return err
}

// retryAfterNewMinor refolds, in the background and slowly, what an older minor
// version has parked; it looks whether there is any at start and whenever
// another generation goes live.
func retryAfterNewMinor(ctx context.Context, on acts.Target, log *slog.Logger) {
	f := &acts.Refolding{Target: on, Pause: time.Second, Changed: func(string) {}, Left: func(what string, why error) {
		log.Warn("what has parked messages cannot be refolded, and is served as it was; `projector parked retry` tells more",
			"what", what, "error", why)
	}}
	steadily(ctx, time.Second, 24*time.Hour, func(ctx context.Context) error {
		var of int64
		done, err := f.RetryDue(ctx, func(generation int64, accounts, tiers int) {
			of = generation
			log.Info("refolding what an older version has parked", "generation", generation, "accounts", accounts, "tiers", tiers)
		})
		if done {
			log.Info("refolded what an older version had parked", "generation", of, "changed", f.Refolded.Changed, "unchanged", f.Refolded.Left)
		}
		if !errors.Is(err, readmodel.ErrNoGeneration) {
			return err
		}
		return nil
	}, func(err error, wait time.Duration) {
		if errors.Is(err, projections.ErrPaused) {
			return // the engine has said so
		}
		log.Warn("refolding what was parked goes on later", "error", err, "wait", wait)
	})
}

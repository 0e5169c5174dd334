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
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

func (p *program) refold() *cobra.Command {
	var account events.UUID
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "refold --account ID [--accept-loss] [--json]",
		Short: "Replace an account's row with a fold of its own messages by this program",
		Long: "A row counts the messages that it was made of. Where the stream holds fewer of them by now, the row is left as\n" +
			"it is, both numbers are told, and the exit status is 1; --accept-loss replaces it all the same. A row from before\n" +
			"rows counted, which no verification has found right since, must not become smaller.",
		Example: "  # `projector verify` has said that this mends the account.\n" +
			"  projector refold --account 3c90c3cc-0d44-4b50-8888-8dd25736052a\n" +
			"  # The stream no longer holds all of its messages, and what it holds is to count.\n" +
			"  projector refold --account 3c90c3cc-0d44-4b50-8888-8dd25736052a --accept-loss",
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) error {
			detail := ""
			if acceptLoss {
				detail = "--accept-loss"
			}
			return p.act(ctx, on.Pool, acts.AccountRefold, &account, detail, func() error {
				f := p.refolder(on)
				f.AcceptLoss = acceptLoss
				err := f.Account(ctx, account)
				if errors.Is(err, readmodel.ErrNotFound) {
					return fmt.Errorf("account %s was never heard of", account)
				}
				return p.printRefolded(f, err)
			})
		}),
	}
	cli.Required(cmd.Flags(), &account, "account", accountKind(), "the account's UUID")
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "also where the stream no longer holds all that the row was made of")
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

func (p *program) parkedRetry() *cobra.Command {
	filters := &parkedFilters{}
	cmd := &cobra.Command{
		Use:   "retry (POSITION|FILTER|--all) [--json]",
		Short: "Refold the accounts and tiers of parked messages by this program",
		Long: "The fold is pure: within one projection version a retry changes nothing, and says so. It is for a newer program,\n" +
			"which accepts what an older one parked. What the stream has lost messages of is left as it is and named, and the\n" +
			"exit status is 1." + parkedFilterHelp,
		Example: `  # A newer program accepts what an older one parked.
  projector parked retry --all
  # One message first.
  projector parked retry 1234
  # All with one reason.
  projector parked retry --reason data.email`,
		Args: filters.args,
		RunE: p.onTarget(func(ctx context.Context, on acts.Target) error {
			if err := on.Check(ctx); err != nil {
				return err
			}
			f := p.refolder(on)
			if filters.all {
				return p.act(ctx, on.Pool, acts.ParkedRetry, nil, "all", func() error { return p.printRefolded(f, f.Retry(ctx)) })
			}
			selection := &acts.ParkedSelection{Pool: on.Pool, Filter: filters.ParkedFilter}
			if err := p.selectParked(ctx, filters, selection); err != nil {
				return err
			}
			r := selection.RetryTargets()
			if !p.asJSON && len(r.Accounts)+len(r.Tiers) > 1 {
				fmt.Fprintf(p.err, "refolding %d accounts and %d tiers of %d parked messages\n", len(r.Accounts), len(r.Tiers), len(selection.Messages))
			}
			detail := fmt.Sprintf("%d messages: %s", len(selection.Messages), filters.detailOf())
			return p.act(ctx, on.Pool, acts.ParkedRetry, filters.accountOf(&selection.ParkedSelection), detail, func() error {
				return p.printRefolded(f, f.RetryParked(ctx, &selection.ParkedSelection))
			})
		}),
	}
	filters.flags(cmd)
	cmd.Flags().BoolVar(&filters.all, "all", false, "everything with parked messages")
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

// refoldLine is the result as JSON.
type refoldLine struct {
	Version  string `json:"version"`
	Accounts int    `json:"accounts"`
	Tiers    int    `json:"tiers"`
	Changed  int    `json:"changed"`
	Left     int    `json:"left"`
}

// maxChangedPrinted is how many of the accounts and tiers that changed are named.
const maxChangedPrinted = 100

// refolder prints what it changes and what it leaves as it is.
func (p *program) refolder(on acts.Target) *acts.Refolder {
	out, named := p.notes(), 0
	return &acts.Refolder{Target: on,
		OnChanged: func(what string) {
			if named++; named <= maxChangedPrinted {
				fmt.Fprintf(out, "%s has changed\n", what)
			} else if named == maxChangedPrinted+1 {
				fmt.Fprintln(out, "and others have")
			}
		},
		OnSkipped: func(what string, why error) { fmt.Fprintf(out, "%s is left as it is: %v\n", what, why) },
	}
}

// printRefolded prints what a refold has come to, and fails where anything was left
// as it is.
func (p *program) printRefolded(f *acts.Refolder, err error) error {
	if err != nil {
		return err
	}
	version := fmt.Sprintf("%d.%d", projections.VersionMajor, projections.VersionMinor)
	tiers := ""
	if f.Tiers > 0 {
		tiers = fmt.Sprintf(" and %d tiers", f.Tiers)
	}
	err = p.result(refoldLine{version, f.Accounts, f.Tiers, f.Refolded.Changed, f.Refolded.Left},
		"%d accounts%s refolded by projection version %s, %d have changed\n", f.Accounts, tiers, version, f.Refolded.Changed)
	if err == nil && f.Refolded.Left > 0 {
		return fmt.Errorf("%d accounts or tiers could not be refolded and are left as they are", f.Refolded.Left)
	}
	return err
}

// retryAfterNewMinor refolds, in the background and slowly, the accounts and tiers
// of which an older minor version has parked messages. It looks for them when the
// program starts and whenever another generation becomes live.
func retryAfterNewMinor(ctx context.Context, on acts.Target, log *slog.Logger) {
	f := &acts.Refolder{Target: on, Pause: time.Second, OnChanged: func(string) {}, OnSkipped: func(what string, why error) {
		log.Warn("what has parked messages cannot be refolded, and is served as it was; `projector parked retry` tells more",
			"what", what, "error", why)
	}}
	runPeriodically(ctx, time.Second, 24*time.Hour, func(ctx context.Context) error {
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
		if errors.Is(err, engine.ErrPaused) {
			return // the engine has logged it
		}
		log.Warn("refolding what was parked goes on later", "error", err, "wait", wait)
	})
}

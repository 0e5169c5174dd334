package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
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
	client, err := p.connectStream(ctx, p.cfg.Logger(p.err))
	if err != nil {
		return err
	}
	defer client.Close()
	pool, err := p.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	f := &refolding{client: client, pool: pool, acceptLoss: acceptLoss}
	var r readmodel.Retriable
	if account == nil {
		if r, err = readmodel.FindRetriable(ctx, pool, false); err != nil {
			return err
		}
	} else {
		r.Accounts = []events.UUID{*account}
	}
	changed, unchanged, leftTiers := 0, 0, 0
	err = f.each(ctx, r, func(what string) {
		changed++
		fmt.Fprintf(p.out, "%s has changed\n", what)
	}, func(what string, err error) {
		if unchanged++; strings.HasPrefix(what, "tier ") {
			leftTiers++
		}
		fmt.Fprintf(p.out, "%s is left as it is: %v\n", what, err)
	})
	if errors.Is(err, readmodel.ErrNotFound) {
		return fmt.Errorf("account %s was never heard of", account)
	}
	if err != nil {
		return err
	}
	tiers := ""
	if len(r.Tiers) > 0 {
		tiers = fmt.Sprintf(" and %d tiers", len(r.Tiers)-leftTiers)
	}
	_, err = fmt.Fprintf(p.out, "%d accounts%s refolded by projection version %d.%d, %d have changed\n", len(r.Accounts)-(unchanged-leftTiers), tiers,
		projections.VersionMajor, projections.VersionMinor, changed)
	if err == nil && unchanged > 0 {
		return fmt.Errorf("%d accounts or tiers could not be refolded and are left as they are", unchanged)
	}
	return err
}

// refolding refolds accounts and tiers from the stream into the live
// generation.
type refolding struct {
	client *stream.Client
	pool   *pgxpool.Pool
	pause  time.Duration // between two transactions: each makes the live projector load anew

	acceptLoss bool
}

// accountsAtOnce are swapped in one transaction.
const accountsAtOnce = 50

func (f *refolding) each(ctx context.Context, r readmodel.Retriable, changed func(what string), unchanged func(what string, err error)) error {
	for _, subject := range r.Tiers {
		different, err := readmodel.SwapTier(ctx, f.pool, subject, f.tier(subject))
		if errors.Is(err, readmodel.ErrLoss) {
			unchanged("tier "+events.ParseSubject(subject).Tier, err)
			continue
		}
		if err != nil {
			return err
		}
		if different {
			changed("tier " + events.ParseSubject(subject).Tier)
		}
	}
	for ids := range slices.Chunk(r.Accounts, accountsAtOnce) {
		done, err := readmodel.SwapAccounts(ctx, f.pool, ids, f.acceptLoss, f.account)
		for _, id := range done.Changed {
			changed("account " + id.String())
		}
		for _, u := range done.Unchanged {
			unchanged("account "+u.Account.String(), u.Err)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.pause):
		}
	}
	return nil
}

// account is a [readmodel.FoldAccount].
func (f *refolding) account(ctx context.Context, id events.UUID, upTo uint64) (*projections.Refold, error) {
	r := projections.NewRefold(id)
	return r, f.client.ReadAccount(ctx, id, upTo, func(m projections.Message) error {
		if m.Position > upTo {
			return nil
		}
		if err := r.Apply(m); err != nil {
			return fmt.Errorf("%w: position %d: %w", readmodel.ErrAccount, m.Position, err)
		}
		return nil
	})
}

func (f *refolding) tier(subject string) func(ctx context.Context, upTo uint64) (*projections.TierRefold, error) {
	return func(ctx context.Context, upTo uint64) (*projections.TierRefold, error) {
		r := &projections.TierRefold{}
		return r, f.client.ReadTier(ctx, events.ParseSubject(subject).Tier, upTo, func(m projections.Message) error {
			if m.Position > upTo {
				return nil
			}
			return r.Apply(m)
		})
	}
}

// afterNewMinor refolds, in the background and slowly, what an older minor
// version has parked; it looks whether there is any at start and whenever
// another generation goes live.
func (f *refolding) afterNewMinor(ctx context.Context, log *slog.Logger) {
	steadily(ctx, time.Second, 24*time.Hour, func(ctx context.Context) error {
		if err := f.retryDue(ctx, log); !errors.Is(err, readmodel.ErrNoGeneration) {
			return err
		}
		return nil
	}, func(err error, wait time.Duration) {
		log.Warn("refolding what was parked goes on later", "error", err, "wait", wait)
	})
}

func (f *refolding) retryDue(ctx context.Context, log *slog.Logger) error {
	generation, due, err := readmodel.RetryDue(ctx, f.pool)
	if err != nil || !due {
		return err
	}
	return readmodel.RetryTurn(ctx, f.pool, func() error { return f.retry(ctx, generation, log) })
}

func (f *refolding) retry(ctx context.Context, generation int64, log *slog.Logger) error {
	r, err := readmodel.FindRetriable(ctx, f.pool, true)
	if err != nil {
		return err
	}
	log.Info("refolding what an older version has parked", "generation", generation, "accounts", len(r.Accounts), "tiers", len(r.Tiers))
	changed, unchanged := 0, 0
	err = f.each(ctx, r, func(string) { changed++ }, func(what string, err error) {
		unchanged++
		log.Warn("what has parked messages cannot be refolded, and is served as it was; `projector parked retry` tells more",
			"what", what, "error", err)
	})
	if err != nil {
		return err
	}
	log.Info("refolded what an older version had parked", "generation", generation, "changed", changed, "unchanged", unchanged)
	return readmodel.RetryDone(ctx, f.pool, generation)
}

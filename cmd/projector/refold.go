package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

func (p *program) refold() *cobra.Command {
	var account string
	cmd := &cobra.Command{
		Use:   "refold --account ID",
		Short: "Replace an account's row with a fold of its own messages by this program",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.refoldThose(cmd.Context(), account, false) },
	}
	cmd.Flags().StringVar(&account, "account", "", "the account's UUID")
	_ = cmd.MarkFlagRequired("account") // fails for a flag that does not exist
	return cmd
}

func (p *program) parkedRetry() *cobra.Command {
	var account string
	var all bool
	cmd := &cobra.Command{
		Use:   "retry [--account ID|--all]",
		Short: "Refold the accounts with parked messages by this program",
		Long: "The fold is pure: within one projection version a retry changes nothing, and says so. It is for a newer program,\n" +
			"which accepts what an older one parked.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.refoldThose(cmd.Context(), account, all) },
	}
	cmd.Flags().StringVar(&account, "account", "", "this account")
	cmd.Flags().BoolVar(&all, "all", false, "every account with parked messages")
	cmd.MarkFlagsMutuallyExclusive("account", "all")
	cmd.MarkFlagsOneRequired("account", "all")
	return cmd
}

func (p *program) refoldThose(ctx context.Context, account string, all bool) error {
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
	n, changed := 0, 0
	each := func(id events.UUID) error {
		different, err := refoldAccount(ctx, client, pool, id)
		if err != nil {
			return err
		}
		if n++; different {
			changed++
			fmt.Fprintf(p.out, "account %s has changed\n", id)
		}
		return nil
	}
	if all {
		err = readmodel.EachWithParked(ctx, pool, each)
	} else {
		var id events.UUID
		if id, err = accountID(account); err == nil {
			err = each(id)
		}
		if errors.Is(err, readmodel.ErrNotFound) {
			return fmt.Errorf("account %s was never heard of", id)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%d accounts refolded by projection version %d.%d, %d have changed\n", n, projections.VersionMajor, projections.VersionMinor, changed)
	return nil
}

// refoldAccount swaps one account's row for a fold of its messages.
func refoldAccount(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, id events.UUID) (changed bool, err error) {
	return readmodel.SwapAccount(ctx, pool, id, func(ctx context.Context, upTo uint64) (*projections.Refold, error) {
		r := projections.NewRefold(id)
		return r, client.ReadAccount(ctx, id, upTo, func(m projections.Message) error {
			if m.Position > upTo {
				return nil
			}
			return r.Apply(m)
		})
	})
}

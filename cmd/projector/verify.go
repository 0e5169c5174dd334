package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/cli"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// verdict is what `projector verify --json` prints of an account.
type verdict struct {
	Account     string   `json:"account"`
	Position    uint64   `json:"position"`
	Differences []string `json:"differences"` // by section; empty where stored and folded are the same

	less bool // the stream holds less of it than what is stored was folded from
	due  bool // an older version has parked messages of it, and it is about to be refolded
}

func (p *program) verify() *cobra.Command {
	var account *events.UUID
	sample := 100
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [--sample N|--all|--account ID] [--json]",
		Short: "Refold accounts from the stream and compare them with their rows; exit 1 on any difference",
		Long: "Documents are compared, and what rows say went into them: how many messages, and a digest of all that is stored.\n" +
			"A row from before rows said so, and which is right, says so from then on.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
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
			v := &verifying{client: client, pool: pool, exports: readmodel.NewExports(pool)}
			checked, differ := 0, 0
			many := &several{verifying: v, each: func(res verdict) error {
				checked++
				if len(res.Differences) > 0 {
					differ++
				}
				return p.printVerdict(res, asJSON)
			}}
			each := func(id events.UUID) error { return many.add(ctx, id) }
			switch {
			case account != nil:
				err = each(*account)
			case all:
				err = readmodel.EachAccount(ctx, pool, each)
			default:
				err = readmodel.SampleAccounts(ctx, pool, sample, each)
			}
			if err == nil {
				err = many.flush(ctx)
			}
			if err != nil {
				return err
			}
			if !asJSON {
				fmt.Fprintf(p.out, "%d accounts compared, %d differ\n", checked, differ)
			}
			if differ > 0 {
				return cli.Status(1)
			}
			return nil
		},
	}
	cli.Flag(cmd.Flags(), &sample, "sample", cli.Whole("N", 1, math.MaxInt32), "so many accounts, at random")
	cmd.Flags().BoolVar(&all, "all", false, "every account")
	cli.Flag(cmd.Flags(), &account, "account", maybe(accountKind()), "this account")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON line for each account")
	cmd.MarkFlagsMutuallyExclusive("sample", "all", "account")
	return cmd
}

func (p *program) printVerdict(v verdict, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.out).Encode(v)
	}
	for _, d := range v.Differences {
		if _, err := fmt.Fprintf(p.out, "account %s at %d: %s\n", v.Account, v.Position, d); err != nil {
			return err
		}
	}
	return nil
}

// verifying holds stored accounts against the stream.
type verifying struct {
	client  *stream.Client
	pool    *pgxpool.Pool
	exports *readmodel.Exports
}

// account compares one account as it is stored now with the fold of its
// messages up to the stored position, beside the tier at its stored position.
func (v *verifying) account(ctx context.Context, id events.UUID) (verdict, error) {
	stored, body, err := v.stored(ctx, id)
	if err != nil {
		return verdict{}, err
	}
	out := verdict{Account: id.String(), Position: stored.Position, Differences: []string{},
		due: stored.Parked > 0 && stored.Minor < projections.VersionMinor}
	fold, err := v.fold(ctx, id, stored)
	if err != nil {
		return out, err
	}
	a := fold.Account(id)
	if a == nil {
		if stored.State != readmodel.NotHeard {
			out.Differences = append(out.Differences, "stored, and the stream holds no message of it")
			out.less = true
		}
		return out, nil
	}
	doc, missing, err := fold.Document(id)
	if err != nil {
		return out, err
	}
	state, want := stateOf(stored.State), a.State(missing).String()
	out.less = a.Position() < stored.Position || stored.State == readmodel.Complete && a.State(missing) == projections.Incomplete
	switch {
	case state != want:
		out.Differences = append(out.Differences, fmt.Sprintf("state: stored %s, folded %s", state, want))
	case a.Position() != stored.Position:
		out.Differences = append(out.Differences, fmt.Sprintf("position: stored %d, folded %d", stored.Position, a.Position()))
	case !slices.Equal(missing, stored.Missing):
		out.Differences = append(out.Differences, fmt.Sprintf("missing: stored %v, folded %v", stored.Missing, missing))
	}
	if a.State(missing) != projections.Erased && a.Parked() != stored.Parked {
		out.Differences = append(out.Differences, fmt.Sprintf("parked: stored %d, folded %d", stored.Parked, a.Parked()))
	}
	if string(body) != string(doc) {
		out.Differences = append(out.Differences, projections.CompareDocuments(body, doc)...)
	}
	if len(out.Differences) > 0 {
		return out, nil
	}
	sum, err := sumOf(a)
	if err != nil {
		return out, err
	}
	differences, err := v.counts(ctx, map[events.UUID]readmodel.Sum{id: sum})
	out.Differences = append(out.Differences, differences[id]...)
	return out, err
}

func (v *verifying) stored(ctx context.Context, id events.UUID) (readmodel.Meta, []byte, error) {
	d, err := v.exports.Open(ctx, id)
	if err != nil {
		return readmodel.Meta{}, nil, err
	}
	defer d.Close()
	var body strings.Builder
	if d.State == readmodel.Complete {
		if _, err := d.WriteTo(&body); err != nil {
			return d.Meta, nil, fmt.Errorf("account %s: %w", id, err)
		}
	}
	return d.Meta, []byte(body.String()), nil
}

// fold folds the account up to its stored position, and its tier up to its.
func (v *verifying) fold(ctx context.Context, id events.UUID, stored readmodel.Meta) (*projections.Fold, error) {
	fold := projections.NewFold()
	upTo := func(position uint64) func(projections.Message) error {
		return func(m projections.Message) error {
			if m.Position > position {
				return nil
			}
			_, _, err := fold.Apply(m)
			return err
		}
	}
	if stored.Position == 0 {
		return fold, nil
	}
	if err := v.client.ReadAccount(ctx, id, stored.Position, upTo(stored.Position)); err != nil {
		return nil, err
	}
	a := fold.Account(id)
	if a == nil || stored.TierPosition == 0 {
		return fold, nil
	}
	tier, err := a.Tier()
	if err != nil || !events.SoundTier(tier) {
		return fold, err
	}
	return fold, v.client.ReadTier(ctx, tier, stored.TierPosition, upTo(stored.TierPosition))
}

func stateOf(s readmodel.State) string {
	return [...]string{"never heard of", "incomplete", "complete", "erased"}[s]
}

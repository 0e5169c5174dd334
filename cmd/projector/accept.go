package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

func (p *program) accept() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "accept [--yes]",
		Short: "Let the live generation go on with a stream that `run` refuses, where that is sound",
		Long: "Says what `projector run` refuses and what accepting it gives up, and does so only with --yes.\n\n" +
			"A stream that begins after the checkpoint: what is gone unread is given up; documents stay as they are, and are no longer\n" +
			"refolded or audited, since the stream cannot account for them.\n\n" +
			"Another stream, or one that was recreated: only where it holds the same messages at the same positions, as a copy or a\n" +
			"mirror does. Every account is held against it first. Nothing is given up.\n\n" +
			"A stream that lacks erasures which the ledger knows, since it was restored from before them: they are carried out in it\n" +
			"anew, also where it was accepted for another reason.\n\n" +
			"A stream that ends before the checkpoint is not accepted: positions that clients know would be given out again. Nor is\n" +
			"another number of partitions, which a rebuild takes on without a loss.",
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
			a := &accepting{verifying: verifying{client: client, pool: pool, exports: readmodel.NewExports(pool)}, program: p, yes: yes}
			return a.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// accepting lets the live generation go on.
type accepting struct {
	verifying
	*program
	yes bool

	g               readmodel.Generation
	at              map[int]uint64 // its checkpoints
	lowest, highest uint64
}

func (a *accepting) run(ctx context.Context) error {
	var err error
	if a.g, err = readmodel.Live(ctx, a.pool); err != nil {
		return err
	}
	if a.at, err = readmodel.Positions(ctx, a.pool, a.g.Number); err != nil {
		return err
	}
	a.lowest = ^uint64(0)
	for _, position := range a.at {
		a.lowest, a.highest = min(a.lowest, position), max(a.highest, position)
	}
	info, err := a.client.Info(ctx)
	if err != nil {
		return err
	}
	refused := stream.Guard(info, a.g.Stream, a.lowest, a.highest)
	switch {
	case refused == nil:
		return a.erasures(ctx, info, false)
	case errors.Is(refused, stream.ErrHistoryLost):
		if err := a.loss(ctx, info); err != nil {
			return err
		}
		return a.erasures(ctx, info, false)
	case errors.Is(refused, stream.ErrOtherStream), errors.Is(refused, stream.ErrRecreated):
		if err := a.identity(ctx, info, refused); err != nil {
			return err
		}
		return a.erasures(ctx, info, true)
	}
	return fmt.Errorf("this cannot be accepted: %w", refused)
}

// erasures carries out anew what the ledger knows and the stream lacks, once the
// stream itself is accepted. Another stream may hold the erased events and all
// else as well, as a mirror does.
func (a *accepting) erasures(ctx context.Context, info projections.StreamInfo, another bool) error {
	those, err := lacking(ctx, a.client, a.pool, 1)
	if err == nil && (another || len(those) > 0) {
		those, err = unfinished(ctx, a.client, a.pool)
	}
	if err != nil {
		return err
	}
	if len(those) == 0 && another {
		return nil
	}
	if len(those) == 0 {
		_, err = fmt.Fprintf(a.out, "generation %d and stream %s belong together: there is nothing to accept\n", a.g.Number, info.Name)
		return err
	}
	again := &anew{client: a.client, pool: a.pool, out: a.out, those: those}
	again.say()
	fmt.Fprintf(a.out, "Accepting erases them in this stream anew: the same event is published, and what else it holds of them is removed.\n")
	if !a.yes {
		return errUnsaid
	}
	return again.carryOut(ctx)
}

func (a *accepting) loss(ctx context.Context, info projections.StreamInfo) error {
	fmt.Fprintf(a.out, "Stream %s begins at %d, and generation %d has read it up to %d. Accepting gives up messages %d to %d: what they\n"+
		"changed will be missing from the documents, which stay as they are. From then on `refold` and `parked retry` refuse, nothing is\n"+
		"audited, and `verify` names the accounts whose messages are gone, until `projector rebuild` has made a generation of what there is.\n",
		info.Name, info.First, a.g.Number, a.lowest, a.lowest+1, info.First-1)
	if !a.yes {
		return errUnsaid
	}
	if err := readmodel.AcceptLoss(ctx, a.pool, a.g, info.First); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "accepted: generation %d goes on at %d\n", a.g.Number, info.First)
	return err
}

var errUnsaid = errors.New("nothing was changed: tell --yes to do it")

func (a *accepting) identity(ctx context.Context, info projections.StreamInfo, refused error) error {
	unsound := func(why string) error {
		return fmt.Errorf("this cannot be accepted, since the stream does not hold what generation %d was folded from (%s): "+
			"`projector rebuild --accept-differences` is the accepting way: %w", a.g.Number, why, refused)
	}
	as := a.g.Stream
	as.Name, as.Created = info.Name, info.Created
	if err := stream.Guard(info, as, a.lowest, a.highest); err != nil {
		return unsound(fmt.Sprintf("it holds %d to %d, and the checkpoints are from %d to %d, of %d partitions", info.First, info.Last,
			a.lowest, a.highest, a.g.Partitions))
	}
	compared, why, err := a.compare(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		return unsound(why)
	}
	fmt.Fprintf(a.out, "Stream %s, created %s, holds the same messages at the same positions as stream %s, created %s, did: all of %d accounts\n"+
		"fold to what is stored. Accepting gives up nothing.\n", info.Name, info.Created.UTC(), a.g.Stream.Name, a.g.Stream.Created.UTC(), compared)
	if !a.yes {
		return errUnsaid
	}
	if err := readmodel.AcceptStream(ctx, a.pool, a.g, info); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "accepted: generation %d goes on with stream %s\n", a.g.Number, info.Name)
	return err
}

// compare holds every stored account against the stream, and every account of
// the stream, up to the checkpoints, against what is stored. why is empty where
// they are the same.
func (a *accepting) compare(ctx context.Context) (compared int, why string, err error) {
	heard := map[events.UUID]bool{}
	partition := a.g.Stream.Partition
	err = a.client.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if to.Kind == events.SubjectAccount && m.Position <= a.at[partition(&m)] {
			heard[to.Account] = true
		}
		return nil
	})
	if err != nil {
		return 0, "", err
	}
	different := errors.New("different")
	many := &several{verifying: &a.verifying, each: func(v verdict) error {
		if len(v.Differences) > 0 {
			why = fmt.Sprintf("account %s: %s", v.Account, v.Differences[0])
			return different
		}
		compared++
		return nil
	}}
	err = readmodel.EachAccount(ctx, a.pool, func(id events.UUID) error {
		delete(heard, id)
		return many.add(ctx, id)
	})
	if err == nil {
		err = many.flush(ctx)
	}
	if errors.Is(err, different) {
		return compared, why, nil
	}
	for id := range heard {
		why = fmt.Sprintf("account %s is in the stream and was never heard of", id)
		break
	}
	return compared, why, err
}

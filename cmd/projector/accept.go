package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
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
			"mirror does. The position of every account, and then every document, is held against it first, whatever id the stream\n" +
			"has. Nothing is given up.\n\n" +
			"A stream of which messages are missing that no erasure removed: they are taken for lost; documents stay as they are.\n\n" +
			"A stream that lacks erasures which the ledger knows, since it was restored from before them: they are carried out in it\n" +
			"anew, also where it was accepted for another reason.\n\n" +
			"A stream that ends before the checkpoint is not accepted: positions that clients know would be given out again. Nor is\n" +
			"another number of partitions, which a rebuild takes on without a loss.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			on, done, err := p.target(ctx)
			if err != nil {
				return err
			}
			defer done()
			a := &accepting{client: on.Stream, pool: on.Pool, program: p, yes: yes}
			return a.run(ctx)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// accepting lets the live generation go on.
type accepting struct {
	*program
	client *stream.Client
	pool   *pgxpool.Pool
	yes    bool

	g               readmodel.Generation
	checkpoints     []projections.Checkpoint // its
	lowest, highest uint64
}

func (a *accepting) run(ctx context.Context) error {
	st, err := readmodel.Inspect(ctx, a.pool)
	if err != nil {
		return err
	}
	a.g, a.lowest = st.Generation, ^uint64(0)
	for _, c := range st.Partitions {
		a.checkpoints = append(a.checkpoints, c.Checkpoint)
		a.lowest, a.highest = min(a.lowest, c.Position), max(a.highest, c.Position)
	}
	info, err := a.client.Info(ctx)
	if err != nil {
		return err
	}
	refused := acts.Guard(ctx, a.pool, info, a.g.Stream, a.lowest, a.highest)
	if refused == nil || errors.Is(refused, stream.ErrHistoryLost) {
		if err := projections.CheckLast(ctx, a.client, a.checkpoints); errors.Is(err, projections.ErrReplaced) {
			refused = err
		} else if err != nil {
			return err
		}
	}
	if a.yes && refused != nil {
		if err := readmodel.CheckPaused(ctx, a.pool); err != nil {
			return err
		}
	}
	switch {
	case refused == nil:
		accepted, err := a.gaps(ctx, info)
		if err != nil {
			return err
		}
		return a.erasures(ctx, info, accepted)
	case errors.Is(refused, stream.ErrHistoryLost):
		if err := a.loss(ctx, info); err != nil {
			return err
		}
		return a.erasures(ctx, info, true)
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
// else as well, as a mirror does. That there was nothing to accept is said where
// nothing was accepted.
func (a *accepting) erasures(ctx context.Context, info projections.StreamInfo, accepted bool) error {
	those, err := unfinished(ctx, a.client, a.pool)
	if err != nil {
		return err
	}
	if len(those) == 0 && accepted {
		return nil
	}
	if len(those) == 0 {
		_, err = fmt.Fprintf(a.out, "generation %d and stream %s belong together: there is nothing to accept\n", a.g.Number, info.Name)
		return err
	}
	again := &anew{client: a.client, pool: a.pool, out: a.out, those: those}
	again.say()
	if err := sayServed(ctx, a.pool, a.out, those); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Accepting erases them anew: the same event is published where it lacks, and what else stream and tables hold of them is removed.\n")
	if !a.yes {
		return errUnsaid
	}
	if err := again.carryOut(ctx); err != nil {
		return err
	}
	return again.left()
}

// gaps takes messages for lost that nobody removed, where there are any.
func (a *accepting) gaps(ctx context.Context, info projections.StreamInfo) (accepted bool, err error) {
	g := &gaps{client: a.client, pool: a.pool}
	l, err := g.look(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) || err == nil && l.err() == nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(l.undelivered) > 0 {
		more, err := g.unread(ctx, a.lowest)
		if err != nil {
			return false, err
		}
		l.undelivered = l.undelivered.Union(more)
	}
	l.say(a.out)
	fmt.Fprintf(a.out, "Accepting takes them for lost: documents stay as they are, without what of these was never read; `projector refold` leaves\n"+
		"accounts alone whose messages they were, and `projector verify --all` names those.\n")
	if !a.yes {
		return false, errUnsaid
	}
	if err := g.accept(ctx, l); err != nil {
		return false, err
	}
	_, err = fmt.Fprintf(a.out, "accepted: generation %d goes on without them\n", a.g.Number)
	return true, err
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
	if err := (&gaps{client: a.client, pool: a.pool}).acceptAll(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "accepted: generation %d goes on at %d\n", a.g.Number, info.First)
	return err
}

var errUnsaid = errors.New("nothing was changed: `projector accept --yes` does it")

func (a *accepting) identity(ctx context.Context, info projections.StreamInfo, refused error) error {
	unsound := func(why string) error {
		return fmt.Errorf("this cannot be accepted, since the stream does not hold what generation %d was folded from (%s): "+
			"`projector rebuild --accept-differences` is the accepting way: %w", a.g.Number, why, refused)
	}
	as := a.g.Stream
	as.Name, as.Created, as.ID = info.Name, info.Created, info.ID
	if err := stream.Guard(info, as, a.lowest, a.highest); err != nil {
		return unsound(fmt.Sprintf("it holds %d to %d, and the checkpoints are from %d to %d, of %d partitions", info.First, info.Last,
			a.lowest, a.highest, a.g.Partitions))
	}
	last, why, err := a.last(ctx)
	compared := 0
	if err == nil && why == "" {
		compared, why, err = a.compare(ctx)
	}
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
	if err := readmodel.AcceptStream(ctx, a.pool, a.g, info, last); err != nil {
		return err
	}
	if err := (&gaps{client: a.client, pool: a.pool}).acceptAll(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "accepted: generation %d goes on with stream %s\n", a.g.Number, info.Name)
	return err
}

// last holds the stream against the last message folded of each partition, by
// its content, and gives the times that they have in this stream. One that was
// removed says nothing.
func (a *accepting) last(ctx context.Context) (at map[int]time.Time, why string, err error) {
	at = map[int]time.Time{}
	for _, c := range a.checkpoints {
		if c.Last.Position == 0 {
			continue
		}
		m, there, err := a.client.At(ctx, c.Last.Position)
		switch {
		case err != nil:
			return nil, "", err
		case there && projections.MarkOf(&m).Digest != c.Last.Digest:
			return nil, fmt.Sprintf("message %d is not the one that was folded last of partition %d", c.Last.Position, c.Partition), nil
		case there:
			at[c.Partition] = m.Time
		}
	}
	return at, "", nil
}

// namedAtOnce is how many accounts are named.
const namedAtOnce = 10

// compare holds every account and tier, of the read model and of the stream,
// against each other. why names those that differ, and is empty where there are
// none.
func (a *accepting) compare(ctx context.Context) (compared int, why string, err error) {
	var named []string
	v := &acts.Verifying{Target: targetOf(a.client, a.pool), Each: func(v acts.Verdict) error {
		if !v.Same() && len(named) < namedAtOnce {
			named = append(named, whatOf(v))
		}
		return nil
	}}
	if err := v.All(ctx); err != nil && !errors.Is(err, acts.ErrNothing) {
		return 0, "", err
	}
	if v.Differ > len(named) {
		named = append(named, fmt.Sprintf("and %d more", v.Differ-len(named)))
	}
	return v.Accounts, strings.Join(named, "; "), nil
}

// whatOf says what accepting would make of an account that differs.
func whatOf(v acts.Verdict) string {
	switch {
	case v.Tier != "":
		return fmt.Sprintf("tier %s: %s", v.Tier, v.Differences[0])
	case v.Position == 0:
		return fmt.Sprintf("account %s is in the stream, up to %d, and was never heard of", v.Account, v.Folded)
	case v.Folded == 0:
		return fmt.Sprintf("account %s is at %d, and would be lost", v.Account, v.Position)
	case v.Folded < v.Position:
		return fmt.Sprintf("account %s is at %d, and would go back to %d", v.Account, v.Position, v.Folded)
	case v.Folded > v.Position:
		return fmt.Sprintf("account %s is at %d, and the stream holds a message of it at %d", v.Account, v.Position, v.Folded)
	}
	return fmt.Sprintf("account %s: %s", v.Account, v.Differences[0])
}

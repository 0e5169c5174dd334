package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
			"mirror does. The position of every account, and then every document, is held against it first, whatever id the stream\n" +
			"has. Nothing is given up.\n\n" +
			"A stream of which messages are missing that no erasure removed: they are taken for lost; documents stay as they are.\n\n" +
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
	checkpoints     []projections.Checkpoint // its
	at              map[int]uint64           // their positions
	lowest, highest uint64
}

func (a *accepting) run(ctx context.Context) error {
	st, err := readmodel.Inspect(ctx, a.pool)
	if err != nil {
		return err
	}
	a.g, a.at, a.lowest = st.Generation, map[int]uint64{}, ^uint64(0)
	for _, c := range st.Partitions {
		a.checkpoints, a.at[c.Partition] = append(a.checkpoints, c.Checkpoint), c.Position
		a.lowest, a.highest = min(a.lowest, c.Position), max(a.highest, c.Position)
	}
	info, err := a.client.Info(ctx)
	if err != nil {
		return err
	}
	refused := stream.Guard(info, a.g.Stream, a.lowest, a.highest)
	if refused == nil || errors.Is(refused, stream.ErrHistoryLost) {
		if err := projections.CheckLast(ctx, a.client, a.checkpoints); errors.Is(err, projections.ErrReplaced) {
			refused = err
		} else if err != nil {
			return err
		}
	}
	switch {
	case refused == nil:
		accepted, err := a.gaps(ctx, info)
		if err != nil {
			return err
		}
		return a.erasures(ctx, info, false, accepted)
	case errors.Is(refused, stream.ErrHistoryLost):
		if err := a.loss(ctx, info); err != nil {
			return err
		}
		return a.erasures(ctx, info, false, true)
	case errors.Is(refused, stream.ErrOtherStream), errors.Is(refused, stream.ErrRecreated):
		if err := a.identity(ctx, info, refused); err != nil {
			return err
		}
		return a.erasures(ctx, info, true, true)
	}
	return fmt.Errorf("this cannot be accepted: %w", refused)
}

// erasures carries out anew what the ledger knows and the stream lacks, once the
// stream itself is accepted. Another stream may hold the erased events and all
// else as well, as a mirror does. That there was nothing to accept is said where
// nothing was accepted.
func (a *accepting) erasures(ctx context.Context, info projections.StreamInfo, another, accepted bool) error {
	those, err := lacking(ctx, a.client, a.pool, 1)
	if err == nil && (another || len(those) > 0) {
		those, err = unfinished(ctx, a.client, a.pool)
	}
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
	fmt.Fprintf(a.out, "Accepting erases them in this stream anew: the same event is published, and what else it holds of them is removed.\n")
	if !a.yes {
		return errUnsaid
	}
	return again.carryOut(ctx)
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

var errUnsaid = errors.New("nothing was changed: tell --yes to do it")

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
	if err == nil && why == "" {
		why, err = a.positions(ctx)
	}
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

// positions holds the position of every account against the last message of it
// that the stream holds up to the checkpoints. why names the accounts that
// differ, and is empty where there are none.
func (a *accepting) positions(ctx context.Context) (why string, err error) {
	ends := map[events.UUID]uint64{}
	err = a.client.ReadAll(ctx, func(m projections.Message) error {
		to := events.ParseSubject(m.Subject)
		if to.Kind == events.SubjectAccount && m.Position <= a.at[a.g.Stream.Partition(&m)] {
			ends[to.Account] = m.Position
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	var named []string
	different := 0
	differ := func(format string, args ...any) {
		if different++; different <= namedAtOnce {
			named = append(named, fmt.Sprintf(format, args...))
		}
	}
	err = readmodel.EachPosition(ctx, a.pool, func(id events.UUID, position uint64) {
		switch end, there := ends[id]; {
		case !there:
			differ("account %s is at %d, and would be lost", id, position)
		case end < position:
			differ("account %s is at %d, and would go back to %d", id, position, end)
		case end > position:
			differ("account %s is at %d, and the stream holds a message of it at %d", id, position, end)
		}
		delete(ends, id)
	})
	if err != nil {
		return "", err
	}
	err = readmodel.EachAccount(ctx, a.pool, func(id events.UUID) error {
		delete(ends, id) // erased: whether it would return is compared by its messages
		return nil
	})
	for id := range ends {
		differ("account %s is in the stream and was never heard of", id)
	}
	if different > len(named) {
		named = append(named, fmt.Sprintf("and %d more", different-len(named)))
	}
	return strings.Join(named, "; "), err
}

// compare holds every stored account against the stream. why is empty where
// they are the same.
func (a *accepting) compare(ctx context.Context) (compared int, why string, err error) {
	different := errors.New("different")
	many := &several{verifying: &a.verifying, each: func(v verdict) error {
		if len(v.Differences) > 0 {
			why = fmt.Sprintf("account %s: %s", v.Account, v.Differences[0])
			return different
		}
		compared++
		return nil
	}}
	err = readmodel.EachAccount(ctx, a.pool, func(id events.UUID) error { return many.add(ctx, id) })
	if err == nil {
		err = many.flush(ctx)
	}
	if errors.Is(err, different) {
		return compared, why, nil
	}
	return compared, why, err
}

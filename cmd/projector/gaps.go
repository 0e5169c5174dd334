package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel"
)

// gaps hold what the stream is missing against what our own erasures removed,
// and what was missing before they were first looked at.
type gaps struct {
	client *stream.Client
	pool   *pgxpool.Pool
}

// book notes, before they are removed, that messages are about to be.
func (g *gaps) book(ctx context.Context, positions []uint64) error {
	if len(positions) == 0 {
		return nil
	}
	info, err := g.client.Info(ctx)
	if err != nil {
		return err
	}
	if _, err := readmodel.FindMissing(ctx, g.pool, info); errors.Is(err, readmodel.ErrNotFound) {
		err = g.takeOn(ctx)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return readmodel.BookRemovals(ctx, g.pool, info, positions)
}

// takeOn notes what the stream is missing at first sight.
func (g *gaps) takeOn(ctx context.Context) error {
	info, gone, err := g.client.Gone(ctx)
	if err != nil {
		return err
	}
	return readmodel.TakeOn(ctx, g.pool, info, gone)
}

// lost is what a stream is missing that nobody has explained.
type lost struct {
	info        projections.StreamInfo
	gone        projections.Ranges // all that is, of the same answer as info; empty where counts agree
	n           uint64             // messages that the server counts as gone and nobody has removed
	those       projections.Ranges // their positions, as far as it says
	undelivered projections.Ranges // that it counts as there and cannot give
	differ      bool               // another number is missing than is explained
}

// err is the refusal, nil where nothing is lost.
func (l *lost) err() error {
	switch {
	case l.n > 0:
		return stream.MissingMessages(l.info.Name, l.n, l.those)
	case len(l.undelivered) > 0:
		return stream.UndeliveredMessages(l.info.Name, l.undelivered)
	}
	return nil
}

// look holds a stream's answer against the database. The answer is of before, so
// what was removed by then was noted by then. A stream that was not looked at
// before ([readmodel.ErrNotFound]) has nothing to be held against.
func (g *gaps) look(ctx context.Context, info projections.StreamInfo) (l lost, err error) {
	l.info = info
	have, err := readmodel.FindMissing(ctx, g.pool, info)
	if err != nil {
		return l, err
	}
	if l.undelivered, err = g.undelivered(ctx, info, have); err != nil {
		return l, err
	}
	if info.Missing() == have.Explained {
		return l, nil
	}
	// Where an erasure has noted more than it has removed, fewer are missing.
	l.differ = true
	if l.info, l.gone, err = g.client.Gone(ctx); err != nil {
		return l, err
	}
	if l.those, err = readmodel.Unexplained(ctx, g.pool, l.info, l.gone); err != nil {
		return l, err
	}
	if have, err = readmodel.FindMissing(ctx, g.pool, l.info); err != nil {
		return l, err
	}
	missing := l.info.Missing()
	switch l.n = l.those.Count(); {
	case l.n > 0 || missing <= have.Explained:
	case l.gone.Count() >= missing: // each is accounted for
		return l, readmodel.NoteExplained(ctx, g.pool, l.info)
	default:
		l.n = missing - have.Explained
	}
	return l, nil
}

// undelivered are the positions that were found not to be delivered, or that the
// server itself says it has lost, and that it still cannot give.
func (g *gaps) undelivered(ctx context.Context, info projections.StreamInfo, have readmodel.Missing) (projections.Ranges, error) {
	those := have.Undelivered.Union(projections.RangesOf(info.Lost...))
	if len(those) == 0 {
		return nil, nil
	}
	known, err := readmodel.Known(ctx, g.pool, info)
	if err != nil {
		return nil, err
	}
	info, gone, err := g.client.Gone(ctx)
	if err != nil {
		return nil, err
	}
	// What is gone by now is a matter of counts.
	return g.client.Absent(ctx, those.Without(known).Without(gone))
}

// accept takes what was seen to be lost for lost. What went missing since is to
// be seen first.
func (g *gaps) accept(ctx context.Context, l lost) error {
	info, gone, err := g.client.Gone(ctx)
	if err != nil {
		return err
	}
	more, err := readmodel.Unexplained(ctx, g.pool, info, gone)
	if err != nil {
		return err
	}
	if more = more.Without(l.those); len(more) > 0 {
		return fmt.Errorf("more messages went missing meanwhile, at positions %v: nothing was changed, look again", more)
	}
	return g.settle(ctx, info, gone, l.undelivered, l.those.Union(l.undelivered))
}

// acceptAll takes the stream as it is.
func (g *gaps) acceptAll(ctx context.Context) error {
	info, gone, err := g.client.Gone(ctx)
	if err != nil {
		return err
	}
	return g.settle(ctx, info, gone, nil, nil)
}

func (g *gaps) settle(ctx context.Context, info projections.StreamInfo, gone, undelivered, lost projections.Ranges) error {
	known, err := readmodel.Known(ctx, g.pool, info)
	if err != nil {
		return err
	}
	accepted, err := g.client.Absent(ctx, known.Without(gone)) // before, and counted as there still
	if err != nil {
		return err
	}
	return readmodel.AcceptMissing(ctx, g.pool, info, gone, undelivered.Union(accepted), lost)
}

// unread are all that the server counts as there and passes over, after a
// position: who accepts one is told of all.
func (g *gaps) unread(ctx context.Context, after uint64) (passed projections.Ranges, err error) {
	source := g.source(func(_ context.Context, _ projections.StreamInfo, those projections.Ranges) error {
		passed = passed.Union(those)
		return nil
	})
	info, err := g.client.Info(ctx)
	if err != nil {
		return nil, err
	}
	reader, err := source.Open(ctx, after)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var buf []projections.Message
	for nothing := 0; after < info.Last; nothing++ {
		if _, more, err := source.First(ctx, after); err != nil || !more {
			return passed, err
		}
		limit, cancel := context.WithTimeout(ctx, time.Second) // what was there may be removed meanwhile
		buf, err = reader.Next(limit, buf[:0], projections.Bound{Events: 4096, Bytes: 4 << 20})
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return nil, err
		}
		if len(buf) > 0 {
			after, nothing = buf[len(buf)-1].Position, 0
		}
		if nothing > 30 {
			return nil, fmt.Errorf("%w, after %d: restart the NATS server, and look again", stream.ErrUndelivered, after)
		}
	}
	return passed, nil
}

// source is the stream as a projector reads it. Of what the server counts as
// there and passes over, told is told, once for what is not accepted as lost.
func (g *gaps) source(told func(ctx context.Context, info projections.StreamInfo, those projections.Ranges) error) *stream.Reconciled {
	return &stream.Reconciled{Client: g.client, Undelivered: func(ctx context.Context, those projections.Ranges) error {
		info, err := g.client.Info(ctx)
		if err != nil {
			return err
		}
		known, err := readmodel.Known(ctx, g.pool, info)
		if err != nil {
			return err
		}
		if those = those.Without(known); len(those) == 0 {
			return nil
		}
		return told(ctx, info, those)
	}}
}

// refuse ends the reading, and notes why for `status` and `accept`.
func (g *gaps) refuse(ctx context.Context, info projections.StreamInfo, those projections.Ranges) error {
	if err := readmodel.NoteUndelivered(ctx, g.pool, info, those); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", projections.ErrRefused, stream.UndeliveredMessages(info.Name, those))
}

// judge is the refusal of a stream that has lost messages, as far as it was looked
// at before.
func (g *gaps) judge(ctx context.Context, info projections.StreamInfo) error {
	l, err := g.look(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = l.err()
	}
	if errors.Is(err, stream.ErrMissing) {
		err = fmt.Errorf("%w: %w", projections.ErrRefused, err)
	}
	return err
}

// gapGuard looks for gaps whenever another number of messages is missing than at
// the last look.
type gapGuard struct {
	gaps
	log *slog.Logger

	mu      sync.Mutex
	created time.Time // of the stream that was looked at
	fine    uint64    // so many were missing there, and all was well
	lost    int       // so many it says itself it has lost, and they are accounted for
}

// lookWithin bounds a look; where it takes longer, the servers are away, which
// readiness tells, and the next look is made.
const lookWithin = 10 * time.Second

func (g *gapGuard) guard(ctx context.Context, info projections.StreamInfo) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.created.Equal(info.Created) && info.Missing() == g.fine && len(info.Lost) == g.lost {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	l, err := g.look(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) {
		if err = g.takeOn(ctx); err == nil {
			l, err = g.look(ctx, info)
		}
	}
	if errors.Is(err, readmodel.ErrSchema) {
		return err
	}
	if err != nil {
		if !g.created.Equal(info.Created) { // nothing is known of it, so nothing is folded
			return fmt.Errorf("%w: what the stream is missing: %w", projections.ErrNotYet, err)
		}
		g.log.Warn("what the stream is missing is not looked at yet", "error", err)
		return nil
	}
	if err := l.err(); err != nil {
		return err
	}
	g.created, g.fine, g.lost = l.info.Created, l.info.Missing(), len(info.Lost)
	return nil
}

// say says what is lost.
func (l *lost) say(out io.Writer) {
	if l.n > 0 {
		fmt.Fprintf(out, "Stream %s has lost %d messages that no erasure removed, at positions %v.\n", l.info.Name, l.n, l.those)
	}
	if len(l.undelivered) > 0 {
		fmt.Fprintf(out, "Stream %s counts %d messages as there that its server cannot give, at positions %v.\n", l.info.Name,
			l.undelivered.Count(), l.undelivered)
	}
}

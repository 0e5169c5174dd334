package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Gaps hold what the stream is missing against what our own erasures removed,
// and what was missing before they were first looked at.
type Gaps struct{ Target }

// book notes, before they are removed, that messages are about to be.
func (g Gaps) book(ctx context.Context, positions []uint64) error {
	if len(positions) == 0 {
		return nil
	}
	info, err := g.Stream.Info(ctx)
	if err != nil {
		return err
	}
	if _, err := admin.FindMissing(ctx, g.Pool, info); errors.Is(err, readmodel.ErrNotFound) {
		err = g.RecordBaseline(ctx)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return admin.RecordRemovals(ctx, g.Pool, info, positions)
}

// RecordBaseline notes what the stream is missing at first sight.
func (g Gaps) RecordBaseline(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	return admin.RecordMissing(ctx, g.Pool, info, gone)
}

// Lost is what a stream is missing that nobody has explained.
type Lost struct {
	Info        engine.StreamInfo
	N           uint64        // messages that the server counts as gone and nobody has removed
	Those       engine.Ranges // their positions, as far as it says
	Undelivered engine.Ranges // that it counts as there and cannot give
	Differ      bool          // another number is missing than is explained

	gone engine.Ranges // all that is, of the same answer as Info; empty where counts agree
}

// Err is the refusal, nil where nothing is lost.
func (l *Lost) Err() error {
	switch {
	case l.N > 0:
		return stream.MissingMessages(l.Info.Name, l.N, l.Those)
	case len(l.Undelivered) > 0:
		return stream.UndeliveredMessages(l.Info.Name, l.Undelivered)
	}
	return nil
}

// after is how many of them at most are after a position.
func (l *Lost) after(position uint64) uint64 {
	unplaced := l.N - min(l.N, l.Those.Count())
	return unplaced + l.Those.Union(l.Undelivered).Without(engine.Ranges{{First: 1, Last: position}}).Count()
}

// Detect holds a stream's answer against the database. The answer is of before, so
// what was removed by then was noted by then. A stream that was not looked at
// before ([readmodel.ErrNotFound]) has nothing to be held against.
func (g Gaps) Detect(ctx context.Context, info engine.StreamInfo) (l Lost, err error) {
	l.Info = info
	have, err := admin.FindMissing(ctx, g.Pool, info)
	if err != nil {
		return l, err
	}
	if l.Undelivered, err = g.undelivered(ctx, info, have); err != nil {
		return l, err
	}
	if info.Missing() == have.Explained {
		return l, nil
	}
	// Where an erasure has noted more than it has removed, fewer are missing.
	l.Differ = true
	if l.Info, l.gone, err = g.Stream.Deleted(ctx); err != nil {
		return l, err
	}
	if l.Those, err = admin.Unexplained(ctx, g.Pool, l.Info, l.gone); err != nil {
		return l, err
	}
	if have, err = admin.FindMissing(ctx, g.Pool, l.Info); err != nil {
		return l, err
	}
	missing := l.Info.Missing()
	switch l.N = l.Those.Count(); {
	case l.N > 0 || missing <= have.Explained:
	case l.gone.Count() >= missing: // each is accounted for
		return l, admin.RaiseExplained(ctx, g.Pool, l.Info)
	default:
		l.N = missing - have.Explained
	}
	return l, nil
}

// undelivered are the positions that were found not to be delivered, or that the
// server itself says it has lost, and that it still cannot give.
func (g Gaps) undelivered(ctx context.Context, info engine.StreamInfo, have admin.Missing) (engine.Ranges, error) {
	those := have.Undelivered.Union(engine.RangesOf(info.Lost...))
	if len(those) == 0 {
		return nil, nil
	}
	known, err := admin.KnownMissing(ctx, g.Pool, info)
	if err != nil {
		return nil, err
	}
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return nil, err
	}
	// What is gone by now is a matter of counts.
	return g.Stream.Absent(ctx, those.Without(known).Without(gone))
}

// Accept takes what was seen to be lost for lost. What went missing since is to
// be seen first.
func (g Gaps) Accept(ctx context.Context, l Lost) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	more, err := admin.Unexplained(ctx, g.Pool, info, gone)
	if err != nil {
		return err
	}
	if more = more.Without(l.Those); len(more) > 0 {
		return fmt.Errorf("more messages went missing meanwhile, at positions %v: nothing was changed, look again", more)
	}
	return g.settle(ctx, info, gone, l.Undelivered, l.Those.Union(l.Undelivered))
}

// acceptAll takes the stream as it is.
func (g Gaps) acceptAll(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	return g.settle(ctx, info, gone, nil, nil)
}

func (g Gaps) settle(ctx context.Context, info engine.StreamInfo, gone, undelivered, lost engine.Ranges) error {
	known, err := admin.KnownMissing(ctx, g.Pool, info)
	if err != nil {
		return err
	}
	accepted, err := g.Stream.Absent(ctx, known.Without(gone)) // before, and counted as there still
	if err != nil {
		return err
	}
	return admin.AcceptMissing(ctx, g.Pool, info, info.Missing(), gone, undelivered.Union(accepted), lost)
}

// acceptBeginning takes what the stream's beginning is missing for lost, and
// nothing else.
func (g Gaps) acceptBeginning(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	known, err := admin.KnownMissing(ctx, g.Pool, info)
	if err != nil && !errors.Is(err, readmodel.ErrNotFound) {
		return err
	}
	accepted, err := g.Stream.Absent(ctx, known.Without(gone)) // counted as there still
	if err != nil {
		return err
	}
	var beginning engine.Ranges
	if info.First > 1 {
		beginning = engine.Ranges{{First: 1, Last: info.First - 1}}
	}
	missing := gone.Without(gone.Without(known.Union(beginning))) // what of it was known, or is before the beginning
	return admin.AcceptMissing(ctx, g.Pool, info, missing.Count(), missing, accepted, beginning)
}

// unread are all that the server counts as there and passes over, after a
// position: who accepts one is told of all.
func (g Gaps) unread(ctx context.Context, after uint64) (passed engine.Ranges, err error) {
	source := g.Source(func(_ context.Context, _ engine.StreamInfo, those engine.Ranges) error {
		passed = passed.Union(those)
		return nil
	})
	info, err := g.Stream.Info(ctx)
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
		if _, more, err := source.FirstAfter(ctx, after); err != nil || !more {
			return passed, err
		}
		limit, cancel := context.WithTimeout(ctx, time.Second) // what was there may be removed meanwhile
		buf, err = reader.Next(limit, buf[:0], engine.Bound{Events: 4096, Bytes: 4 << 20})
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

// Source is the stream as a projector reads it. Of what the server counts as
// there and passes over, told is told, once for what is not accepted as lost.
func (g Gaps) Source(told func(ctx context.Context, info engine.StreamInfo, those engine.Ranges) error) *stream.ReconcilingSource {
	return &stream.ReconcilingSource{Client: g.Stream, OnUndelivered: func(ctx context.Context, those engine.Ranges) error {
		info, err := g.Stream.Info(ctx)
		if err != nil {
			return err
		}
		known, err := admin.KnownMissing(ctx, g.Pool, info)
		if err != nil {
			return err
		}
		if those = those.Without(known); len(those) == 0 {
			return nil
		}
		return told(ctx, info, those)
	}}
}

// Refuse ends the reading, and notes why for `status` and `accept`.
func (g Gaps) Refuse(ctx context.Context, info engine.StreamInfo, those engine.Ranges) error {
	if err := admin.SetUndelivered(ctx, g.Pool, info, those); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", engine.ErrRefused, stream.UndeliveredMessages(info.Name, those))
}

// judge is the refusal of a stream that has lost messages, as far as it was looked
// at before.
func (g Gaps) judge(ctx context.Context, info engine.StreamInfo) error {
	l, err := g.Detect(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = l.Err()
	}
	if errors.Is(err, stream.ErrMissing) {
		err = fmt.Errorf("%w: %w", engine.ErrRefused, err)
	}
	return err
}

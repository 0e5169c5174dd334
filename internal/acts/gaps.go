package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/internal/stream"
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

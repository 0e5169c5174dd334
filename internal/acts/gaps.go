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

// Gaps compares the messages that the stream is missing with those that our own
// erasures removed, and with those that were missing when it was first seen.
type Gaps struct{ Target }

// recordRemovals records that messages are about to be removed, before they are.
func (g Gaps) recordRemovals(ctx context.Context, positions []uint64) error {
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

// RecordBaseline records which messages the stream is missing when it is first seen.
func (g Gaps) RecordBaseline(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	return admin.RecordMissing(ctx, g.Pool, info, gone)
}

// Lost is what the stream is missing that nothing explains.
type Lost struct {
	Info        engine.StreamInfo
	N           uint64        // messages that the server counts as deleted and nobody removed
	Positions   engine.Ranges // their positions, as far as the server says them
	Undelivered engine.Ranges // messages that the server counts as present and cannot deliver
	Differ      bool          // whether another number of messages is missing than is explained

	gone engine.Ranges // all positions that are missing, from the same answer as Info; empty where the numbers agree
}

// Err is the refusal; nil where nothing is lost.
func (l *Lost) Err() error {
	switch {
	case l.N > 0:
		return stream.MissingMessages(l.Info.Name, l.N, l.Positions)
	case len(l.Undelivered) > 0:
		return stream.UndeliveredMessages(l.Info.Name, l.Undelivered)
	}
	return nil
}

// after is how many of the lost messages, at most, are after a position.
func (l *Lost) after(position uint64) uint64 {
	unplaced := l.N - min(l.N, l.Positions.Count())
	return unplaced + l.Positions.Union(l.Undelivered).Without(engine.Ranges{{First: 1, Last: position}}).Count()
}

// Detect compares an answer of the stream with the database. The answer was given
// before, so every removal that it shows had been recorded. The error is
// [readmodel.ErrNotFound] where there is no baseline of the stream.
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
	// Where an erasure has recorded more messages than it removed, fewer are missing
	// than is explained.
	l.Differ = true
	if l.Info, l.gone, err = g.Stream.Deleted(ctx); err != nil {
		return l, err
	}
	if l.Positions, err = admin.Unexplained(ctx, g.Pool, l.Info, l.gone); err != nil {
		return l, err
	}
	if have, err = admin.FindMissing(ctx, g.Pool, l.Info); err != nil {
		return l, err
	}
	missing := l.Info.Missing()
	switch l.N = l.Positions.Count(); {
	case l.N > 0 || missing <= have.Explained:
	case l.gone.Count() >= missing: // each is accounted for
		return l, admin.RaiseExplained(ctx, g.Pool, l.Info)
	default:
		l.N = missing - have.Explained
	}
	return l, nil
}

// undelivered returns the positions that were found to be undelivered, or that the
// server itself reports as lost, and that it still cannot deliver.
func (g Gaps) undelivered(ctx context.Context, info engine.StreamInfo, have admin.Missing) (engine.Ranges, error) {
	candidates := have.Undelivered.Union(engine.RangesOf(info.Lost...))
	if len(candidates) == 0 {
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
	// Messages that are deleted by now are counted as missing.
	return g.Stream.Absent(ctx, candidates.Without(known).Without(gone))
}

// check is the refusal of a stream that has lost messages; nil where there is no
// baseline of it.
func (g Gaps) check(ctx context.Context, info engine.StreamInfo) error {
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

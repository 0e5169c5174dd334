package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Accept records messages as lost. It fails where more messages are missing by now than
// l has: they have to be shown first.
func (g Gaps) Accept(ctx context.Context, l Lost) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	more, err := admin.Unexplained(ctx, g.Pool, info, gone)
	if err != nil {
		return err
	}
	if more = more.Without(l.Positions); len(more) > 0 {
		return fmt.Errorf("more messages went missing meanwhile, at positions %v: nothing was changed, look again", more)
	}
	return g.record(ctx, info, gone, l.Undelivered, l.Positions.Union(l.Undelivered))
}

// acceptAll records everything that the stream is missing as lost.
func (g Gaps) acceptAll(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	return g.record(ctx, info, gone, nil, nil)
}

func (g Gaps) record(ctx context.Context, info engine.StreamInfo, gone, undelivered, lost engine.Ranges) error {
	known, err := admin.KnownMissing(ctx, g.Pool, info)
	if err != nil {
		return err
	}
	accepted, err := g.Stream.Absent(ctx, known.Without(gone)) // known before, and still counted as present
	if err != nil {
		return err
	}
	return admin.AcceptMissing(ctx, g.Pool, info, info.Missing(), gone, undelivered.Union(accepted), lost)
}

// acceptBeginning records the messages before the beginning of the stream as lost, and
// no others.
func (g Gaps) acceptBeginning(ctx context.Context) error {
	info, gone, err := g.Stream.Deleted(ctx)
	if err != nil {
		return err
	}
	known, err := admin.KnownMissing(ctx, g.Pool, info)
	if err != nil && !errors.Is(err, readmodel.ErrNotFound) {
		return err
	}
	accepted, err := g.Stream.Absent(ctx, known.Without(gone)) // known before, and still counted as present
	if err != nil {
		return err
	}
	var beginning engine.Ranges
	if info.First > 1 {
		beginning = engine.Ranges{{First: 1, Last: info.First - 1}}
	}
	missing := gone.Without(gone.Without(known.Union(beginning))) // those that were known, and those before the beginning
	return admin.AcceptMissing(ctx, g.Pool, info, missing.Count(), missing, accepted, beginning)
}

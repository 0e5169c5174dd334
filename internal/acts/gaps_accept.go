package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

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

package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Comparison is how the generation that was built differs from the live one.
type Comparison struct {
	admin.Comparison
	Live, Generation int64
	Lost             Lost // what the stream has lost, or the server has skipped while it was read
	LiveBlocked      bool // whether the live generation cannot go on with the stream
}

// Compare folds the new generation up to the end of the stream, since accounts cannot
// be compared of which one generation has not read all messages, and says how it
// differs from the live one. After an error, c.Lost may be set.
func (r *Rebuilder) Compare(ctx context.Context) (c Comparison, err error) {
	ctx, end := tracing.Phase(ctx, "compare")
	defer func() { end(err) }()
	if err := r.findUnseen(ctx); err != nil {
		return c, err
	}
	engine := r.engine(r.source, nil)
	defer engine.Close()
	if err := r.catchUp(ctx, engine, r.Generation); err != nil {
		return c, fmt.Errorf("bring generation %d to the end: %w", r.Generation, err)
	}
	if r.lostBefore, err = r.lost(ctx); err != nil {
		return c, err
	}
	c.Live, c.Generation, c.Lost = r.Live.Number, r.Generation, r.lostBefore
	c.Comparison, err = admin.Compare(ctx, r.Pool, r.Live.Number, r.Generation, func(ctx context.Context) (uint64, error) {
		info, err := r.Stream.Info(ctx)
		return info.Last, err
	}, r.OnDifference)
	if err != nil {
		return c, err
	}
	if err := r.countErasedOnlyLive(ctx, &c); err != nil {
		return c, err
	}
	return c, r.checkLiveBlocked(ctx, &c)
}

// checkLiveBlocked sets c.LiveBlocked where the live generation cannot go on with the
// stream, since that has lost messages or is another one. Then accounts on which the
// live generation is behind may have lost messages instead, and nobody can tell which.
func (r *Rebuilder) checkLiveBlocked(ctx context.Context, c *Comparison) error {
	_, err := r.CheckStream(ctx)
	if err != nil && !IsRefusal(err) {
		return err
	}
	for _, lost := range []error{stream.ErrOtherStream, stream.ErrRecreated, engine.ErrStreamBehind, stream.ErrHistoryLost, engine.ErrDiverged,
		stream.ErrMissing} {
		c.LiveBlocked = c.LiveBlocked || errors.Is(err, lost)
	}
	c.LiveBlocked = c.LiveBlocked || c.Lost.Err() != nil
	return nil
}

// unknown counts the accounts of which nobody knows whether they have lost messages.
func (c Comparison) unknown() int64 {
	if !c.LiveBlocked {
		return 0
	}
	return c.Pending - c.ToErase
}

// Equal tells whether nothing differs that needs an explanation.
func (c Comparison) Equal() bool { return c.Comparison.Equal() && c.unknown() == 0 }

// Impact says what cutting over takes from people; it is empty where it takes nothing.
func (c Comparison) Impact() string {
	cost := c.Comparison.Impact()
	if n := c.unknown(); n > 0 {
		if cost != "" {
			cost += ", "
		}
		cost += fmt.Sprintf("%d have newer messages, and what they have lost is not known", n)
	}
	return cost
}

// countErasedOnlyLive counts accounts as different that are erased in the live
// generation only although the stream holds their erasure: the replay of erasures
// before the cut-over would not erase them.
func (r *Rebuilder) countErasedOnlyLive(ctx context.Context, c *Comparison) error {
	if len(c.ToEraseAccounts) == 0 {
		return nil
	}
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return err
	}
	erasures, err := admin.FindErasures(ctx, r.Pool, c.ToEraseAccounts)
	if err != nil {
		return err
	}
	for _, e := range erasures {
		has, err := r.holdsErasure(ctx, e, info.Partitions)
		if err != nil {
			return err
		}
		if has {
			c.ToErase, c.Pending, c.Different = c.ToErase-1, c.Pending-1, c.Different+1
			c.Sections["erased"]++
			d := admin.Difference{Account: e.Account, What: "erased"}
			if c.Sample = append(c.Sample, d); r.OnDifference != nil {
				if err := r.OnDifference(d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Unexplained says in what way the generations differ although nothing explains it; empty
// where they are the same, or another projection version explains what differs.
func (r *Rebuilder) Unexplained(c Comparison) (why string) {
	expected := r.Live.Major != projections.VersionMajor || r.Live.Minor != projections.VersionMinor || r.Live.RefoldedMinor < r.Live.Minor
	switch {
	case c.Equal(), expected && c.ExplainedByVersion() && c.unknown() == 0:
		return ""
	case expected:
		return "by more than another projection version explains"
	}
	return "although the same projection version folded both"
}

// Decide refuses where the generations differ in a way that nothing explains. cost says
// what accepting the differences takes from people, who have to be asked whether that
// is meant; it is empty where it takes nothing.
func (r *Rebuilder) Decide(c Comparison) (cost string, err error) {
	why := r.Unexplained(c)
	cost = c.Impact()
	if why == "" || r.Accept && cost == "" {
		return "", nil
	}
	if !r.Accept {
		if cost != "" {
			cost = " (" + cost + ")"
		}
		err := fmt.Errorf("the generations differ %s: nothing was cut over. `projector %s --accept-differences` does so all the same%s", why, r.Command, cost)
		if len(c.Sample) > 0 {
			err = fmt.Errorf("%w; why they differ the accounts named above tell, such as `projector verify --account %s`", err, c.Sample[0].Account)
		}
		return "", err
	}
	if !r.Yes && c.Compared+c.Pending-c.ToErase+c.New == 0 {
		return cost, fmt.Errorf("nothing was cut over: generation %d holds no account, so all %d would answer 404. Is stream %s the right one, and whole? "+
			"Restore it from a backup; `projector %s --accept-differences --yes` goes on without them", c.Generation, c.Missing, r.Stream.Stream(), r.Command)
	}
	return cost, nil
}

// lost returns what the stream has lost that nothing explains, and what the server has
// skipped while it was read.
func (r *Rebuilder) lost(ctx context.Context) (Lost, error) {
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return Lost{}, err
	}
	g := r.gaps()
	l, err := g.Detect(ctx, info)
	if r.noBaseline = errors.Is(err, readmodel.ErrNotFound); r.noBaseline { // without a baseline only skipped messages are known
		err = nil
	}
	r.undeliveredMu.Lock()
	defer r.undeliveredMu.Unlock()
	l.Undelivered = l.Undelivered.Union(r.undelivered)
	return l, err
}

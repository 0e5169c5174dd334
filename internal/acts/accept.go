package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// Acceptor lets the live generation go on with a stream that `projector run`
// refuses, where that is sound. Each thing that is to be accepted is told before
// it is; without Yes that is all that is done, and it ends with [ErrNotConfirmed].
type Acceptor struct {
	Target
	Yes        bool                   // do it
	OnFound    func(Acceptance) error // told what is to be accepted; an error ends it, and that is not accepted
	OnAccepted func(Acceptance) error // told that it was

	g               readmodel.Generation
	checkpoints     []engine.Checkpoint // its
	lowest, highest uint64
}

// Acceptance is one thing that is accepted.
type Acceptance struct {
	What       AcceptanceKind
	Generation readmodel.Generation // that goes on, as it was
	Info       engine.StreamInfo    // of the stream that it goes on with

	Lowest   uint64          // where it begins too late: the lowest checkpoint
	Lost     Lost            // where messages are missing
	Unread   uint64          // of those, so many at most were not folded before
	Compared int             // where it is another stream: accounts, that all fold to what is stored
	Erasures []admin.Erasure // that are carried out anew
	Served   []events.UUID   // of them: [ErasureReplay.Served]
}

// AcceptanceKind is what there may be to accept.
type AcceptanceKind int

const (
	AcceptMissing  AcceptanceKind = iota + 1 // messages are missing that nobody removed, or its server cannot give some
	AcceptLoss                               // the stream begins after the checkpoint
	AcceptStream                             // another stream, which holds the same messages at the same positions
	AcceptErasures                           // it lacks erasures that the ledger knows
)

// Accepted says what there was to accept.
type Accepted struct {
	Generation int64
	Stream     string
	Things     int // that were accepted; 0: generation and stream belong together
}

// Accept accepts what there is. What it ends with an error at is not accepted, and
// what it has told to be done before, is.
func (a *Acceptor) Accept(ctx context.Context) (Accepted, error) {
	out := Accepted{Stream: a.Stream.Stream()}
	err := a.accept(ctx, &out)
	out.Generation = a.g.Number
	return out, err
}

func (a *Acceptor) accept(ctx context.Context, out *Accepted) error {
	st, err := admin.ReadStatus(ctx, a.Pool)
	if err != nil {
		return err
	}
	a.g, a.checkpoints, a.lowest, a.highest = st.Generation, nil, ^uint64(0), 0
	for _, c := range st.Partitions {
		a.checkpoints = append(a.checkpoints, c.Checkpoint)
		a.lowest, a.highest = min(a.lowest, c.Position), max(a.highest, c.Position)
	}
	info, err := a.Stream.Info(ctx)
	if err != nil {
		return err
	}
	refused := Guard(ctx, a.Pool, info, a.g.Stream, a.lowest, a.highest)
	if refused == nil || errors.Is(refused, stream.ErrHistoryLost) {
		if err := engine.CheckLast(ctx, a.Stream, a.checkpoints); errors.Is(err, engine.ErrDiverged) {
			refused = err
		} else if err != nil {
			return err
		}
	}
	if a.Yes && refused != nil {
		if err := readmodel.CheckPaused(ctx, a.Pool); err != nil {
			return err
		}
	}
	switch {
	case refused == nil:
		err = a.gaps(ctx, info, out)
	case errors.Is(refused, stream.ErrHistoryLost):
		err = a.loss(ctx, info, out)
	case errors.Is(refused, stream.ErrOtherStream), errors.Is(refused, stream.ErrRecreated):
		err = a.identity(ctx, info, refused, out)
	default:
		return fmt.Errorf("this cannot be accepted: %w", refused)
	}
	if err != nil && !errors.Is(err, ErrNotConfirmed) {
		return err
	}
	// Who is only told is told of these as well.
	if more := a.erasures(ctx, info, out); more != nil {
		return more
	}
	return err
}

// found tells what is to be accepted, and ends with [ErrNotConfirmed] where it is not
// to be done.
func (a *Acceptor) found(it Acceptance) error {
	if err := a.OnFound(it); err != nil || a.Yes {
		return err
	}
	return ErrNotConfirmed
}

func (a *Acceptor) done(it Acceptance, out *Accepted) error {
	out.Things++
	return a.OnAccepted(it)
}

// erasures carries out anew what the ledger knows and the stream lacks, once the
// stream itself is accepted. Another stream may hold the erased events and all
// else as well, as a mirror does.
func (a *Acceptor) erasures(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	those, err := a.UnfinishedErasures(ctx)
	if err != nil || len(those) == 0 {
		return err
	}
	again := &ErasureReplay{Target: a.Target, Those: those, Command: "accept --yes"}
	it := Acceptance{What: AcceptErasures, Generation: a.g, Info: info, Erasures: those}
	if it.Served, err = again.Served(ctx); err != nil {
		return err
	}
	if err := a.found(it); err != nil {
		return err
	}
	if err := again.Run(ctx); err != nil {
		return err
	}
	if err := a.done(it, out); err != nil {
		return err
	}
	return again.Incomplete()
}

// gaps takes messages for lost that nobody removed, where there are any.
func (a *Acceptor) gaps(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	g := Gaps{a.Target}
	l, err := g.Detect(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) || err == nil && l.Err() == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if len(l.Undelivered) > 0 {
		more, err := g.unread(ctx, a.lowest)
		if err != nil {
			return err
		}
		l.Undelivered = l.Undelivered.Union(more)
	}
	it := Acceptance{What: AcceptMissing, Generation: a.g, Info: info, Lost: l, Unread: l.after(a.lowest)}
	if err := a.found(it); err != nil {
		return err
	}
	if err := g.Accept(ctx, l); err != nil {
		return err
	}
	return a.done(it, out)
}

func (a *Acceptor) loss(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	it := Acceptance{What: AcceptLoss, Generation: a.g, Info: info, Lowest: a.lowest}
	if err := a.found(it); err != nil {
		return err
	}
	if err := admin.AcceptLoss(ctx, a.Pool, a.g, info.First); err != nil {
		return err
	}
	if err := (Gaps{a.Target}).acceptBeginning(ctx); err != nil {
		return err
	}
	return a.done(it, out)
}

// ErrNotConfirmed means that somebody has to say that what was found is to be accepted.
var ErrNotConfirmed = errors.New("nothing was changed: `projector accept --yes` does it")

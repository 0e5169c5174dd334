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

// Acceptor accepts, for the live generation, a stream that `projector run` refuses,
// where that is sound. OnFound is called with each finding before it is accepted.
// Without Yes nothing is accepted, and Accept ends with [ErrNotConfirmed].
type Acceptor struct {
	Target
	Yes        bool                   // accept what is found
	OnFound    func(Acceptance) error // called before it is accepted; an error ends Accept, and the finding is not accepted
	OnAccepted func(Acceptance) error // called after it was accepted

	live            readmodel.Generation
	checkpoints     []engine.Checkpoint // of the live generation
	lowest, highest uint64
}

// Acceptance is one finding, and what accepting it means.
type Acceptance struct {
	What       AcceptanceKind
	Generation readmodel.Generation // the live generation, as it was before
	Info       engine.StreamInfo    // the stream that it goes on with

	Lowest   uint64          // AcceptLoss: the lowest checkpoint, which lies before the beginning of the stream
	Lost     Lost            // AcceptMissing: the missing messages
	Unread   uint64          // AcceptMissing: how many of them at most were not folded before they went missing
	Compared int             // AcceptStream: how many accounts were compared; all of them fold to what is stored
	Erasures []admin.Erasure // AcceptErasures: the erasures that are carried out again
	Served   []events.UUID   // AcceptErasures: [ErasureReplay.Served] of them
}

// AcceptanceKind is the kind of a finding.
type AcceptanceKind int

const (
	// messages are missing that nobody removed, or the server cannot deliver some of
	// them
	AcceptMissing  AcceptanceKind = iota + 1
	AcceptLoss                    // the stream begins after the checkpoint
	AcceptStream                  // it is another stream, which holds the same messages at the same positions
	AcceptErasures                // the stream lacks erasures that are on the ledger
)

// Accepted is the result of [Acceptor.Accept].
type Accepted struct {
	Generation int64
	Stream     string
	Things     int // how many findings were accepted; 0 where generation and stream belong together
}

// Accept accepts what it finds. When it ends with an error, the findings that
// OnAccepted was called with are accepted, and no others.
func (a *Acceptor) Accept(ctx context.Context) (Accepted, error) {
	out := Accepted{Stream: a.Stream.Stream()}
	err := a.accept(ctx, &out)
	out.Generation = a.live.Number
	return out, err
}

func (a *Acceptor) accept(ctx context.Context, out *Accepted) error {
	st, err := admin.ReadStatus(ctx, a.Pool)
	if err != nil {
		return err
	}
	a.live, a.checkpoints, a.lowest, a.highest = st.Generation, nil, ^uint64(0), 0
	for _, c := range st.Partitions {
		a.checkpoints = append(a.checkpoints, c.Checkpoint)
		a.lowest, a.highest = min(a.lowest, c.Position), max(a.highest, c.Position)
	}
	info, err := a.Stream.Info(ctx)
	if err != nil {
		return err
	}
	refused := Guard(ctx, a.Pool, info, a.live.Stream, a.lowest, a.highest)
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
	// Without Yes, the erasures are reported as well.
	if also := a.erasures(ctx, info, out); also != nil {
		return also
	}
	return err
}

// propose reports a finding, and ends with [ErrNotConfirmed] where it is not to be
// accepted.
func (a *Acceptor) propose(acceptance Acceptance) error {
	if err := a.OnFound(acceptance); err != nil || a.Yes {
		return err
	}
	return ErrNotConfirmed
}

func (a *Acceptor) accepted(acceptance Acceptance, out *Accepted) error {
	out.Things++
	return a.OnAccepted(acceptance)
}

// erasures carries out again the erasures that are on the ledger and that the stream
// lacks, after the stream itself is accepted. A mirror, which is another stream, may
// hold the events of erasures and the messages that these removed as well.
func (a *Acceptor) erasures(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	unfinished, err := a.PendingErasures(ctx)
	if err != nil || len(unfinished) == 0 {
		return err
	}
	replay := &ErasureReplay{Target: a.Target, Erasures: unfinished, Command: "accept --yes"}
	acceptance := Acceptance{What: AcceptErasures, Generation: a.live, Info: info, Erasures: unfinished}
	if acceptance.Served, err = replay.Served(ctx); err != nil {
		return err
	}
	if err := a.propose(acceptance); err != nil {
		return err
	}
	if err := replay.Run(ctx); err != nil {
		return err
	}
	if err := a.accepted(acceptance, out); err != nil {
		return err
	}
	return replay.Incomplete()
}

// gaps records messages as lost that are missing and that nobody removed.
func (a *Acceptor) gaps(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	g := Gaps{a.Target}
	lost, err := g.Detect(ctx, info)
	if errors.Is(err, readmodel.ErrNotFound) || err == nil && lost.Err() == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if len(lost.Undelivered) > 0 {
		more, err := g.findUndelivered(ctx, a.lowest)
		if err != nil {
			return err
		}
		lost.Undelivered = lost.Undelivered.Union(more)
	}
	acceptance := Acceptance{What: AcceptMissing, Generation: a.live, Info: info, Lost: lost, Unread: lost.after(a.lowest)}
	if err := a.propose(acceptance); err != nil {
		return err
	}
	if err := g.Accept(ctx, lost); err != nil {
		return err
	}
	return a.accepted(acceptance, out)
}

func (a *Acceptor) loss(ctx context.Context, info engine.StreamInfo, out *Accepted) error {
	acceptance := Acceptance{What: AcceptLoss, Generation: a.live, Info: info, Lowest: a.lowest}
	if err := a.propose(acceptance); err != nil {
		return err
	}
	if err := admin.AcceptLoss(ctx, a.Pool, a.live, info.First); err != nil {
		return err
	}
	if err := (Gaps{a.Target}).acceptBeginning(ctx); err != nil {
		return err
	}
	return a.accepted(acceptance, out)
}

// ErrNotConfirmed means that there is something to accept, and that Yes was not set.
var ErrNotConfirmed = errors.New("nothing was changed: `projector accept --yes` does it")

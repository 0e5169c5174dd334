package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/internal/tracing"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/store"
)

// maxCutoverDistance is how far from the end of the stream a generation may be that is
// cut over to: from further away, `projector rebuild` builds on.
const maxCutoverDistance = 100_000

// FindBuilt finds the generation that was built and not cut over to.
func (r *Rebuilder) FindBuilt(ctx context.Context) (err error) {
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return err
	}
	generation, position, end, err := r.buildPosition(ctx)
	if errors.Is(err, readmodel.ErrNotFound) {
		return errors.New("no generation is being built; `projector rebuild --cutover=manual` builds one")
	}
	if err != nil {
		return err
	}
	// Catching up from another stream would give it up, and begin a new generation.
	if err := r.CheckGeneration(ctx, generation); err != nil {
		return fmt.Errorf("generation %d cannot be cut over to: %w", generation, err)
	}
	if end > position+maxCutoverDistance {
		return fmt.Errorf("generation %d is at %d of %d: let `projector rebuild --cutover=manual` bring it nearer", generation, position, end)
	}
	r.Generation, r.unseen = generation, true
	r.store = store.NewBuilder(r.Builder, r.Owner, false, r.Engine.Logger)
	r.store.Direct = r.Direct
	return nil
}

// CutOver folds the generation up to the end and makes it live. Before that it carries
// out the erasures that are on the ledger and that the stream lacks, since the stream
// is accepted by now. An error about copies of the stream that keep their messages, or
// about gaps, comes after the cut-over.
func (r *Rebuilder) CutOver(ctx context.Context) error {
	return r.cutOver(ctx, r.Live.Number, r.Generation)
}

func (r *Rebuilder) cutOver(ctx context.Context, from, to int64) (err error) {
	ctx, end := tracing.Phase(ctx, "cut over")
	defer func() { end(err) }()
	unfinished, err := r.Target.PendingErasures(ctx)
	if err != nil {
		return err
	}
	replay := &ErasureReplay{Target: r.Target, Erasures: unfinished, Command: r.retryCommand()}
	if len(unfinished) > 0 {
		served, err := replay.Served(ctx)
		if err != nil {
			return err
		}
		r.OnReplay(unfinished, served)
		if err := replay.Run(ctx); err != nil {
			return err
		}
		r.OnReplayed(len(unfinished))
	}
	engine := r.engine(r.source, nil)
	defer engine.Close()
	catchUp := func(ctx context.Context) error { return r.catchUp(ctx, engine, to) }
	if err := catchUp(ctx); err != nil { // most of the way, before readers and writers have to wait
		return fmt.Errorf("cut over: %w", err)
	}
	if err := admin.Cutover(ctx, r.Pool, from, to, r.Accept, catchUp); errors.Is(err, admin.ErrPositionRegression) {
		command := r.Command
		if command == "rollback" { // accepting differences is not offered for a roll-back
			command = "rebuild"
		}
		return fmt.Errorf("%w. Has the stream lost its end? Ways out: restore it from a backup; `projector %s --accept-differences`, which says who goes back", err, command)
	} else if err != nil {
		return err
	}
	r.OnCutover(from, to)
	// What was lost before the comparison has made no difference, or one that was
	// accepted. A stream that was restored may hold messages that had been removed.
	if r.noBaseline {
		if err := r.gaps().RecordBaseline(ctx); err != nil {
			return err
		}
	}
	if r.lostBefore.Err() != nil || r.lostBefore.Differ {
		if err := r.gaps().Accept(ctx, r.lostBefore); err != nil {
			return err
		}
	}
	return replay.Incomplete()
}

// retryCommand is the projector command that completes this one.
func (r *Rebuilder) retryCommand() string {
	if r.Accept {
		return r.Command + " --accept-differences"
	}
	return r.Command
}

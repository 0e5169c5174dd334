package acts

import (
	"context"
	"errors"
	"fmt"

	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/store"
)

// tooFar is how far from the end a generation is built on by a rebuild alone.
const tooFar = 100_000

// FindBuilt finds the generation that was built and not cut over to.
func (r *Rebuilder) FindBuilt(ctx context.Context) (err error) {
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return err
	}
	generation, position, end, err := r.reached(ctx)
	if errors.Is(err, readmodel.ErrNotFound) {
		return errors.New("no generation is being built; `projector rebuild --cutover=manual` builds one")
	}
	if err != nil {
		return err
	}
	// By another stream it would be given up, and one begun from that.
	if err := r.CheckGeneration(ctx, generation); err != nil {
		return fmt.Errorf("generation %d cannot be cut over to: %w", generation, err)
	}
	if end > position+tooFar {
		return fmt.Errorf("generation %d is at %d of %d: let `projector rebuild --cutover=manual` bring it nearer", generation, position, end)
	}
	r.Generation = generation
	r.store = store.NewBuilder(r.Builder, r.Owner, false, r.Engine.Logger)
	r.store.Direct = r.Direct
	return nil
}

// CutOver brings the generation to the end and makes it live. Before, it carries
// out the erasures that the ledger knows and the stream lacks: by now the stream
// is accepted. An error of copies of the stream that keep what they have, or of
// gaps, comes after that.
func (r *Rebuilder) CutOver(ctx context.Context) error {
	return r.cutOver(ctx, r.Live.Number, r.Generation)
}

func (r *Rebuilder) cutOver(ctx context.Context, from, to int64) error {
	those, err := r.Target.UnfinishedErasures(ctx)
	if err != nil {
		return err
	}
	again := &ErasureReplay{Target: r.Target, Those: those, Command: r.again()}
	if len(those) > 0 {
		served, err := again.Served(ctx)
		if err != nil {
			return err
		}
		r.OnReplay(those, served)
		if err := again.Run(ctx); err != nil {
			return err
		}
		r.OnReplayed(len(those))
	}
	engine := r.engine(r.source, nil)
	defer engine.Close()
	toEnd := func(ctx context.Context) error { return r.catchUp(ctx, engine, to) }
	if err := toEnd(ctx); err != nil { // most of the way, before anybody has to wait
		return fmt.Errorf("cut over: %w", err)
	}
	if err := admin.Cutover(ctx, r.Pool, from, to, r.Accept, toEnd); errors.Is(err, admin.ErrPositionRegression) {
		command := r.Command
		if command == "rollback" { // which takes nothing from anybody
			command = "rebuild"
		}
		return fmt.Errorf("%w. Has the stream lost its end? Ways out: restore it from a backup; `projector %s --accept-differences`, which says who goes back", err, command)
	} else if err != nil {
		return err
	}
	r.OnCutover(from, to)
	// What was lost before is no difference, or an accepted one; and a stream
	// that was restored may hold what had been removed.
	if r.unseen {
		if err := r.gaps().RecordBaseline(ctx); err != nil {
			return err
		}
	}
	if r.seen.Err() != nil || r.seen.Differ {
		if err := r.gaps().Accept(ctx, r.seen); err != nil {
			return err
		}
	}
	return again.Incomplete()
}

// again is the command that goes on with this.
func (r *Rebuilder) again() string {
	if r.Accept {
		return r.Command + " --accept-differences"
	}
	return r.Command
}

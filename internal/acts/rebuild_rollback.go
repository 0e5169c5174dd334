package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/store"
)

// RollBack folds the generation that was live before up to the end of the stream,
// unless the stream is refused for it, and makes it live. After an error that came
// before the cut-over, the generation is retired as it was.
func (r *Rebuilder) RollBack(ctx context.Context) (err error) {
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return err
	}
	before, err := r.lastRetired(ctx)
	if err != nil {
		return err
	}
	if err := r.CheckGeneration(ctx, before); err != nil {
		return fmt.Errorf("generation %d cannot be rolled back to: %w", before, err)
	}
	r.Generation, r.store = before, store.NewRollback(r.Builder, r.Owner, before, r.Engine.Logger)
	r.store.Direct = r.Direct
	c, err := r.Compare(ctx)
	if err == nil && c.Impact() != "" {
		err = fmt.Errorf("rolling back to generation %d would take from people, and nothing was changed: %s. Messages may have been lost since it was "+
			"retired; `projector rebuild` makes a generation of what the stream holds", before, c.Impact())
	}
	if err == nil {
		err = r.cutOver(ctx, r.Live.Number, before)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return errors.Join(err, admin.AbandonRollback(ctx, r.Pool, before))
	}
	return nil
}

// lastRetired is the generation that was live last.
func (r *Rebuilder) lastRetired(ctx context.Context) (int64, error) {
	all, err := readmodel.Generations(ctx, r.Pool)
	if err != nil {
		return 0, err
	}
	var last *readmodel.Generation
	for i, g := range all {
		if (g.State == readmodel.StateRetired || g.RollingBack()) && (last == nil || g.Finished.After(*last.Finished)) {
			last = &all[i]
		}
	}
	if last == nil {
		return 0, errors.New("no generation is retired, so there is none to go back to")
	}
	return last.Number, nil
}

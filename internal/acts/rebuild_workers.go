package acts

import (
	"context"
	"errors"
	"time"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/store"
)

// WorkerTask is what a rebuild gives to a worker, another program that builds part of the
// same generation.
type WorkerTask struct {
	Generation int64  `json:"generation"`
	Leader     string `json:"leader"` // Owner of the rebuild
	Partitions []int  `json:"partitions"`
	MaxRate    int    `json:"max_rate"`
}

// Work carries out the task of a rebuild that another program leads: it brings the
// partitions near the end of the stream. [Rebuilder.Ready] has to be called before, and
// nothing else but [Rebuilder.Close] afterwards. onUndelivered is told, before reading
// goes on, what the server skips. It ends with [engine.ErrFenced] where the leader, or
// another one, has the partitions by now.
func (r *Rebuilder) Work(ctx context.Context, task WorkerTask, onUndelivered func(engine.Ranges) error) (err error) {
	if r.Live, err = readmodel.LiveGeneration(ctx, r.Pool); err != nil {
		return err
	}
	r.OnProgress = func(uint64, uint64) {} // the leader tells it
	r.source = r.gaps().Source(func(_ context.Context, _ engine.StreamInfo, positions engine.Ranges) error {
		return onUndelivered(positions)
	})
	r.store = store.NewWorker(r.Builder, r.Owner, task.Leader, task.Generation, task.Partitions, r.Engine.Logger)
	info, err := r.Stream.Info(ctx)
	if err != nil {
		return err
	}
	own, err := r.store.Acquire(ctx, info)
	if err != nil {
		return err
	}
	return r.buildShare(ctx, own, info, task.Partitions, task.MaxRate)
}

// crew are the workers of a rebuild, beside the leader.
type crew struct {
	cancel context.CancelFunc
	ended  chan error
	left   int // those that have not ended
}

// startWorkers starts one for each share. One that cannot be started counts as failed.
func (r *Rebuilder) startWorkers(ctx context.Context, own engine.Ownership, shares [][]int) *crew {
	ctx, cancel := context.WithCancel(ctx)
	c := &crew{cancel: cancel, ended: make(chan error, len(shares)), left: len(shares)}
	rate := r.MaxRate
	if rate > 0 {
		rate = max(1, rate/(len(shares)+1))
	}
	for _, share := range shares {
		wait, err := r.StartWorker(ctx, WorkerTask{own.Generation, r.Owner, share, rate}, r.noteUndelivered)
		if err != nil {
			c.ended <- err
			continue
		}
		go func() { c.ended <- wait() }()
	}
	return c
}

// end ends those that have not ended, and waits for them.
func (c *crew) end() {
	c.cancel()
	for ; c.left > 0; c.left-- {
		<-c.ended
	}
}

// await waits for the workers, and tells progress meanwhile. Where all have ended, it
// returns how many have failed; the error is [engine.ErrFenced] where one was fenced.
func (r *Rebuilder) await(ctx context.Context, generation int64, c *crew) (failed int, err error) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	var fenced error
	for c.left > 0 {
		select {
		case err := <-c.ended:
			c.left--
			switch {
			case ctx.Err() != nil:
				return 0, ctx.Err()
			case errors.Is(err, engine.ErrFenced):
				fenced = err
			case err != nil:
				failed++
				r.Engine.Logger.Warn("a worker of the rebuild has ended before it was done; the others take over what it has left", "error", err)
			}
		case <-ticker.C:
			if _, err := r.nearEnd(ctx, generation, nil); err != nil {
				return 0, err
			}
		}
	}
	return failed, fenced
}

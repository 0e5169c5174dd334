package engine

import (
	"context"
	"fmt"

	"accountexport/projections"
)

// prefetcher reads ahead: one read is under way or waits to be taken while the one
// before is handed over.
type prefetcher struct {
	reader Reader
	out    chan fetchResult
	stop   context.CancelFunc
	ended  chan struct{}
}

// fetchResult is one read, or why there are no more.
type fetchResult struct {
	messages []projections.Message
	err      error
}

// start reads from now on, where it does not yet.
func (f *prefetcher) start(ctx context.Context, bound Bound) <-chan fetchResult {
	if f.out != nil {
		return f.out
	}
	f.out, f.ended = make(chan fetchResult), make(chan struct{})
	ctx, f.stop = context.WithCancel(ctx)
	go func() {
		defer close(f.ended)
		for {
			var d fetchResult
			if d.messages, d.err = f.reader.Next(ctx, nil, bound); d.err != nil {
				d.err = fmt.Errorf("%w: %w", errRead, d.err)
			}
			select {
			case f.out <- d:
			case <-ctx.Done():
				return
			}
			if d.err != nil {
				return
			}
		}
	}()
	return f.out
}

// close ends the reading and waits for its end.
func (f *prefetcher) close() {
	f.reader.Close()
	if f.out != nil {
		f.stop()
		<-f.ended
	}
}

package engine

import (
	"context"
	"fmt"

	"accountexport/projections"
)

// prefetcher reads ahead: while one read is being dispatched, the next one is under
// way or waits to be received. It belongs to the dispatching goroutine, which calls
// start and close; the goroutine that start begins uses reader and sends to out, and
// has ended when close returns.
type prefetcher struct {
	reader Reader

	// Set by start; out is nil before.
	out   chan fetchResult
	stop  context.CancelFunc
	ended chan struct{}
}

// fetchResult is one read. After one with an error there are no more.
type fetchResult struct {
	messages []projections.Message
	err      error
}

// start begins to read ahead, unless that was begun before, and returns the
// channel of the results.
func (f *prefetcher) start(ctx context.Context, bound Bound) <-chan fetchResult {
	if f.out != nil {
		return f.out
	}
	f.out, f.ended = make(chan fetchResult), make(chan struct{})
	ctx, f.stop = context.WithCancel(ctx)
	go func() {
		defer close(f.ended)
		size := 0 // of the read before: while catching up, one is as large as the other
		for {
			d := fetchResult{messages: make([]projections.Message, 0, size)}
			if d.messages, d.err = f.reader.Next(ctx, d.messages, bound); d.err != nil {
				d.err = fmt.Errorf("%w: %w", errRead, d.err)
			}
			size = len(d.messages)
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

// close closes the reader, and waits until nothing is read any more.
func (f *prefetcher) close() {
	f.reader.Close()
	if f.out != nil {
		f.stop()
		<-f.ended
	}
}

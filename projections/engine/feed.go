package engine

import (
	"context"
	"fmt"

	"accountexport/projections"
)

// feed reads ahead: one read is under way or waits to be taken while the one
// before is handed over.
type feed struct {
	reader Reader
	out    chan delivery
	stop   context.CancelFunc
	ended  chan struct{}
}

// delivery is one read, or why there are no more.
type delivery struct {
	messages []projections.Message
	err      error
}

// start reads from now on, where it does not yet.
func (f *feed) start(ctx context.Context, bound Bound) <-chan delivery {
	if f.out != nil {
		return f.out
	}
	f.out, f.ended = make(chan delivery), make(chan struct{})
	ctx, f.stop = context.WithCancel(ctx)
	go func() {
		defer close(f.ended)
		for {
			var d delivery
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
func (f *feed) close() {
	f.reader.Close()
	if f.out != nil {
		f.stop()
		<-f.ended
	}
}

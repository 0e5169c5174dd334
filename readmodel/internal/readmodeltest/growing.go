package readmodeltest

import (
	"context"
	"errors"
	"sync"

	"accountexport/projections"
	"accountexport/projections/engine"
)

// Growing is a stream in memory that grows while it is read.
type Growing struct {
	mu    sync.Mutex
	log   MessageLog
	grown chan struct{} // closed when log is replaced
}

// NewGrowing is a stream that holds the log so far.
func NewGrowing(log MessageLog) *Growing { return &Growing{log: log, grown: make(chan struct{})} }

// Grow makes the log what the stream holds now.
func (g *Growing) Grow(log MessageLog) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = log
	close(g.grown)
	g.grown = make(chan struct{})
}

func (g *Growing) current() (MessageLog, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log, g.grown
}

// Info implements [engine.Source].
func (g *Growing) Info(ctx context.Context) (engine.StreamInfo, error) {
	log, _ := g.current()
	return log.Info(ctx)
}

// FirstAfter implements [engine.Source].
func (g *Growing) FirstAfter(ctx context.Context, after uint64) (uint64, bool, error) {
	log, _ := g.current()
	return log.FirstAfter(ctx, after)
}

// At implements [engine.Source].
func (g *Growing) At(ctx context.Context, position uint64) (projections.Message, bool, error) {
	log, _ := g.current()
	return log.At(ctx, position)
}

// Open implements [engine.Source].
func (g *Growing) Open(_ context.Context, after uint64) (engine.Reader, error) {
	return &logReader{stream: g, after: after, closed: make(chan struct{})}, nil
}

type logReader struct {
	stream *Growing
	after  uint64
	once   sync.Once
	closed chan struct{}
}

var errClosed = errors.New("the reader is closed")

// Next implements [engine.Reader].
func (r *logReader) Next(ctx context.Context, buf []projections.Message, bound engine.Bound) ([]projections.Message, error) {
	for {
		select {
		case <-r.closed:
			return buf, errClosed
		default:
		}
		log, grown := r.stream.current()
		ready, size := log.after(r.after), 0
		for i := range ready {
			if size += ready[i].Size(); i > 0 && (i >= bound.Events || size > bound.Bytes) {
				break
			}
			buf, r.after = append(buf, ready[i]), ready[i].Position
		}
		if len(ready) > 0 {
			return buf, nil
		}
		select {
		case <-grown:
		case <-r.closed:
		case <-ctx.Done():
			return buf, ctx.Err()
		}
	}
}

// Close implements [engine.Reader].
func (r *logReader) Close() { r.once.Do(func() { close(r.closed) }) }

package console

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// How often the stream is asked what it is, for all pages together, while any page shows
// it; and how long that may take.
const (
	factsEvery   = 5 * time.Second
	factsTimeout = 15 * time.Second
)

// streamFacts is what one look at the stream has found, beside what [acts.Status] has.
// Each part has failed by itself where it has.
type streamFacts struct {
	At        time.Time
	Stream    stream.Description
	Err       error // of Stream
	Copies    []stream.Copy
	CopiesErr error
	Missing   admin.Missing // what the database explains
	Lost      acts.Lost
	GapsErr   error // of Missing and Lost; [readmodel.ErrNotFound] where nothing is on record of the stream yet
}

// facts looks at the stream for everybody: whoever asks gets what the last look has
// found, unless that is old, and one look at a time is made.
type facts struct {
	read func(context.Context) *streamFacts
	jobs *jobs  // owns the goroutine of a look
	tell func() // called after each look

	mu      sync.Mutex
	last    *streamFacts  // nil before the first look
	looking chan struct{} // closed when the look that is being made ends; nil where none is
}

// begin begins a look, unless one is being made, and gives the channel that its end
// closes. f.mu is locked.
func (f *facts) begin() (chan struct{}, error) {
	if f.looking != nil {
		return f.looking, nil
	}
	over := make(chan struct{})
	err := f.jobs.goWith(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, factsTimeout)
		defer cancel()
		found := f.read(ctx)
		f.mu.Lock()
		f.last, f.looking = found, nil
		f.mu.Unlock()
		close(over)
		f.tell()
	})
	if err == nil {
		f.looking = over
	}
	return over, err
}

// peek is what the last look has found, nil before the first. Where that is old, a look
// is begun; nobody waits for it.
func (f *facts) peek() *streamFacts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil || time.Since(f.last.At) > factsEvery {
		_, _ = f.begin() // where the console is ending, what was found last is shown
	}
	return f.last
}

// current is what the last look has found, or where that is old the next, which it waits
// for.
func (f *facts) current(ctx context.Context) (*streamFacts, error) {
	f.mu.Lock()
	if f.last != nil && time.Since(f.last.At) < factsEvery {
		defer f.mu.Unlock()
		return f.last, nil
	}
	over, err := f.begin()
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-over:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(factsTimeout + time.Second):
		return nil, fmt.Errorf("the stream: %w", context.DeadlineExceeded)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, nil
}

// containedFacts is readFacts; a mistake in it ends the look, and not the console.
func (c *Console) containedFacts(ctx context.Context) (found *streamFacts) {
	err := c.within("a look at the stream", func() error {
		found = c.readFacts(ctx)
		return nil
	})
	if err != nil {
		return &streamFacts{At: time.Now(), Err: err, CopiesErr: err, GapsErr: err}
	}
	return found
}

// readFacts looks at the stream: two requests, two statements, and more only where
// messages are missing that nobody has explained.
func (c *Console) readFacts(ctx context.Context) *streamFacts {
	f := &streamFacts{}
	defer func() { f.At = time.Now() }()
	on, err := c.on()
	if err != nil {
		f.Err, f.CopiesErr, f.GapsErr = err, err, err
		return f
	}
	if f.Stream, f.Err = on.Stream.Describe(ctx); f.Err != nil { // asked for more, a server that is gone would be waited for again
		f.CopiesErr, f.GapsErr = f.Err, f.Err
		return f
	}
	f.Copies, f.CopiesErr = on.Stream.DescribeCopies(ctx)
	if f.Missing, f.GapsErr = admin.FindMissing(ctx, on.Pool, f.Stream.StreamInfo); f.GapsErr != nil {
		return f
	}
	f.Lost = acts.Lost{Info: f.Stream.StreamInfo}
	if f.Stream.Refused == nil { // its positions could not be asked otherwise
		f.Lost, f.GapsErr = acts.Gaps{Target: on}.Detect(ctx, f.Stream.StreamInfo)
	}
	return f
}

// noBaseline tells whether nothing is on record yet of what the stream lacks.
func (f *streamFacts) noBaseline() bool { return errors.Is(f.GapsErr, readmodel.ErrNotFound) }

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Projector folds a source into a store. See the package documentation for
// what it guarantees. It is not safe for concurrent use: of its methods one may
// run at a time. RunOnce and RunToEnd keep a session open between calls, which
// [Projector.Close] ends and which has to be closed before Run or Follow.
type Projector struct {
	source Source
	store  Store
	opt    Options

	// session is the session of RunOnce and RunToEnd, nil while there is none.
	// It belongs to the caller's goroutine; Run and Follow do not use it.
	session *session

	// folded outlives sessions and has a lock of its own: the lanes advance it,
	// and every check of the stream reads it.
	folded lastFingerprint

	// deviations are those that were logged last. They belong to monitorStream, which
	// runs once at a time, since a projector has one session at a time.
	deviations map[string]Deviation
}

// New makes a projector. It does nothing until one of its methods is called.
func New(source Source, store Store, opt Options) *Projector {
	opt.defaults()
	return &Projector{source: source, store: store, opt: opt}
}

// RunOnce waits for a message, folds what is ready, up to one batch, and commits
// it. It returns the position up to which everything is committed. After an error
// nothing of the batch is kept in memory, and the next call begins at the stored
// checkpoint.
func (p *Projector) RunOnce(ctx context.Context) (position uint64, err error) {
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if p.session == nil {
		if p.session, err = p.openSession(ctx); err != nil {
			return 0, err
		}
	}
	return p.session.foldOneBatch(ctx, 0)
}

// RunToEnd processes batch by batch until everything is committed that the stream
// held at the call. After an error, too, what was committed stays committed, and
// the next call begins at the stored checkpoint.
func (p *Projector) RunToEnd(ctx context.Context) error {
	info, err := p.source.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream info: %w", err)
	}
	if p.session == nil {
		if p.session, err = p.openSession(ctx); err != nil {
			return err
		}
	}
	for p.session.committedPosition() < info.Last {
		first, more, err := p.source.FirstAfter(ctx, p.session.committedPosition())
		if err != nil {
			return fmt.Errorf("look for the next message: %w", err)
		}
		if !more || first > info.Last {
			err := p.session.advanceToEnd(ctx, info)
			if err != nil {
				p.Close() // the states in memory may be stale
			}
			return err
		}
		// The message that was found may be removed before it is read, so the
		// wait for it is bounded.
		if _, err := p.session.foldOneBatch(ctx, fetchTimeout); err != nil {
			p.Close()
			return err
		}
	}
	return nil
}

// fetchTimeout is how long RunToEnd waits for a message before it asks the source
// again whether there is one.
const fetchTimeout = 200 * time.Millisecond

// Close ends the session that RunOnce and RunToEnd keep open.
func (p *Projector) Close() {
	if p.session != nil {
		p.session.closeReader()
		p.session = nil
	}
}

// Follow follows the stream until ctx ends, as [Projector.Run] does, or until the
// first error, which it returns.
func (p *Projector) Follow(ctx context.Context) error {
	err := p.runSession(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Run follows the stream until ctx ends, and then returns nil once the current
// batch is committed or [Options.DrainTimeout] has passed. After any error but
// [ErrRefused] it discards the states in memory, waits with exponential backoff
// and jitter, and resumes at the stored checkpoint, without a limit on the number
// of attempts. It resumes at once after [ErrFenced] if the session had lasted a
// second or more, as at a cut-over. While projecting is paused it waits, and then
// resumes at the stored checkpoint.
func (p *Projector) Run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		began := time.Now()
		err := p.runSession(ctx)
		switch {
		case errors.Is(err, ErrRefused):
			return err
		case ctx.Err() != nil:
			if err != nil && (errors.Is(err, errAbandoned) || !errors.Is(err, context.Canceled)) {
				p.opt.Logger.WarnContext(logContext(ctx, err), "the batch at hand was abandoned", "error", err)
			}
			return nil
		}
		if errors.Is(err, ErrPaused) {
			began = time.Now()
			if err = p.awaitResume(ctx); ctx.Err() != nil {
				return nil
			}
			if err == nil {
				retry.Reset()
				continue
			}
		}
		if time.Since(began) > 10*time.Second || errors.Is(err, ErrFenced) {
			retry.Reset() // being fenced is no failure, and Acquire waits for its turn by itself
		}
		wait := retry.NextBackOff()
		if errors.Is(err, ErrFenced) && time.Since(began) > time.Second {
			wait = 0 // another generation is live, and its readers wait for the projector
		}
		f := failureOf(err)
		p.opt.Observer.Restarted(f)
		p.opt.Logger.WarnContext(logContext(ctx, err), "starting again from the checkpoint", "reason", f.Reason, "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// errAbandoned means that the current batch was not committed within
// [Options.DrainTimeout].
var errAbandoned = errors.New("not committed")

// Errors of the source, which restartReason tells from those of the store.
var (
	errStalled = errors.New("reading stalled")
	errRead    = errors.New("read")
)

// restartReason is the label under which restarts for this error are counted.
func restartReason(err error) string {
	switch {
	case errors.Is(err, ErrFenced):
		return "fenced"
	case errors.Is(err, errStalled):
		return "stalled"
	case errors.Is(err, errRead), errors.Is(err, ErrUnverified):
		return "source"
	}
	return "store"
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrRefused means that the projector must not go on by itself: the stream is
// not the one that the generation was folded from, or the generation is not
// this program's. The documents are untouched.
var ErrRefused = errors.New("refused")

// Guard holds a stream against what was folded from it: lowest and highest are
// the checkpoints' positions. An error stops the projector.
type Guard func(info StreamInfo, have StreamIdentity, lowest, highest uint64) error

// Options configure a [Projector].
type Options struct {
	Lanes               int                      // disjoint sets of partitions, each folded and committed by itself; default 1
	Batch               Bound                    // most of one commit: messages, and bytes of changed accounts; default 200,000 and 128 MiB
	Read                Bound                    // most of one read; default 4,096 events or 4 MiB
	CacheBytes          int                      // of account states in memory, over all lanes; default 128 MiB
	Linger              time.Duration            // far behind, batches grow for so long before they are committed; default 0: not at all
	PartitionFilter     func(partition int) bool // partitions to fold; default all
	LagInterval         time.Duration            // how often idle partitions advance and lag is looked at; default 1 s
	HeartbeatInterval   time.Duration            // how often other replicas are told that this one lives; default 500 ms
	StallTimeout        time.Duration            // without progress while messages wait, reading starts anew; default 15 s
	StreamBehindTimeout time.Duration            // a stream that ends before the checkpoint is asked again for so long; default 5 s
	DrainTimeout        time.Duration            // how long the batch at hand may take on shutdown; default 10 s
	Guard               Guard                    // default: none
	Observer            Observer                 // default: none
	Logger              *slog.Logger             // default: slog.Default()
}

func (o *Options) defaults() {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Lanes, 1)
	def(&o.Batch.Events, 200_000)
	def(&o.Batch.Bytes, 128<<20)
	def(&o.Read.Events, 4096)
	def(&o.Read.Bytes, 4<<20)
	def(&o.CacheBytes, 128<<20)
	dur(&o.LagInterval, time.Second)
	dur(&o.HeartbeatInterval, 500*time.Millisecond)
	dur(&o.StallTimeout, 15*time.Second)
	dur(&o.StreamBehindTimeout, 5*time.Second)
	dur(&o.DrainTimeout, 10*time.Second)
	if o.Guard == nil {
		o.Guard = func(StreamInfo, StreamIdentity, uint64, uint64) error { return nil }
	}
	if o.Observer == nil {
		o.Observer = nopObserver{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Projector folds a source into a store. See the package documentation for
// what it guarantees.
type Projector struct {
	source     Source
	store      Store
	opt        Options
	session    *session // of RunOnce
	folded     lastFingerprint
	deviations map[string]Deviation // as it was told last; the tick's
}

// New makes a projector.
func New(source Source, store Store, opt Options) *Projector {
	opt.defaults()
	return &Projector{source: source, store: store, opt: opt}
}

// RunOnce waits for a message, folds what is ready up to one batch, and
// commits it. It returns the position up to which everything is committed.
// After an error nothing of the batch is kept in memory, and the next call
// begins at the stored checkpoint.
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
	return p.session.once(ctx, 0)
}

// RunToEnd runs batch by batch until all is committed that the stream held at
// the call.
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
	for p.session.position() < info.Last {
		first, more, err := p.source.FirstAfter(ctx, p.session.position())
		if err != nil {
			return fmt.Errorf("look for the next message: %w", err)
		}
		if !more || first > info.Last {
			err := p.session.advance(ctx, info)
			if err != nil {
				p.Close() // what is in memory may be stale
			}
			return err
		}
		// What was seen may be removed before it is read.
		if _, err := p.session.once(ctx, fetchTimeout); err != nil {
			p.Close()
			return err
		}
	}
	return nil
}

// fetchTimeout is how long RunToEnd waits for a message before it looks again whether
// there is one.
const fetchTimeout = 200 * time.Millisecond

// Close ends what RunOnce and RunToEnd keep open.
func (p *Projector) Close() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

// Follow follows the stream until ctx ends, as Run does, or until the first
// error, which it returns.
func (p *Projector) Follow(ctx context.Context) error {
	err := p.runSession(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Run follows the stream until ctx ends, and then returns nil once the batch
// at hand is committed or its time is over. Any error but [ErrRefused] makes
// it drop what is in memory, wait with growing and random pauses, and begin
// again at the stored checkpoint, for ever; fenced after a second's work or more,
// as at a cut-over, it does so at once. Paused, it stands by, and goes on at
// the stored checkpoint.
func (p *Projector) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		began := time.Now()
		err := p.runSession(ctx)
		switch {
		case errors.Is(err, ErrRefused):
			return err
		case ctx.Err() != nil:
			if err != nil && (errors.Is(err, errAbandoned) || !errors.Is(err, context.Canceled)) {
				p.opt.Logger.Warn("the batch at hand was abandoned", "error", err)
			}
			return nil
		}
		if errors.Is(err, ErrPaused) {
			began = time.Now()
			if err = p.awaitResume(ctx); ctx.Err() != nil {
				return nil
			}
			if err == nil {
				pause.Reset()
				continue
			}
		}
		if time.Since(began) > 10*time.Second || errors.Is(err, ErrFenced) {
			pause.Reset() // fenced is nothing wrong, and taking over waits for its turn
		}
		wait := pause.NextBackOff()
		if errors.Is(err, ErrFenced) && time.Since(began) > time.Second {
			wait = 0 // another generation is live, and who reads waits for it
		}
		reason := restartReason(err)
		p.opt.Observer.Restarted(reason)
		p.opt.Logger.Warn("starting again from the checkpoint", "reason", reason, "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

var errAbandoned = errors.New("not committed")

// Reasons of a restart.
var (
	errStalled = errors.New("reading stalled")
	errRead    = errors.New("read")
)

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

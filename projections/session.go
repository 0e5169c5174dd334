package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// session is one stretch of work from a checkpoint on, until the first error.
type session struct {
	p      *Projector
	own    Ownership
	reader Reader
	lanes  []*lane
	of     map[int]*lane  // lane by partition
	from   map[int]uint64 // checkpoint by partition at the start

	read   atomic.Uint64 // everything up to here was handed to the lanes
	readAt atomic.Int64  // the stream's timestamp of that, in ns
	behind atomic.Bool   // far behind the stream's end
}

func (p *Projector) open(ctx context.Context) (*session, error) {
	info, err := p.source.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	own, err := p.store.Acquire(ctx, info)
	if err != nil {
		return nil, fmt.Errorf("take ownership: %w", err)
	}
	if p.opt.Only != nil {
		own.Checkpoints = slices.DeleteFunc(own.Checkpoints, func(c Checkpoint) bool { return !p.opt.Only(c.Partition) })
		if len(own.Checkpoints) == 0 {
			return nil, errors.New("no partition to fold")
		}
	}
	s := &session{p: p, own: own, of: map[int]*lane{}, from: map[int]uint64{}}
	before := s.bounds()
	lowest := before.lowest
	// Asked again: waiting for ownership may have taken long.
	if info, err = p.source.Info(ctx); err != nil {
		return nil, fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err := s.guard(info, before); err != nil {
		return nil, err
	}
	n := min(p.opt.Lanes, len(own.Checkpoints))
	for i := range n {
		var mine []Checkpoint
		for j := i; j < len(own.Checkpoints); j += n {
			mine = append(mine, own.Checkpoints[j])
		}
		l := newLane(p.store, own, mine, p.opt.Batch, p.opt.CacheBytes/n)
		if p.opt.Linger > 0 {
			l.linger = func() time.Duration {
				if s.behind.Load() {
					return p.opt.Linger
				}
				return 0
			}
		}
		l.observe = func(b *committedBatch) { p.opt.Observer.Committed(b.stats(own.Generation)) }
		s.lanes = append(s.lanes, l)
		for _, c := range mine {
			s.of[c.Partition], s.from[c.Partition] = l, c.Position
		}
	}
	if s.reader, err = p.source.Open(ctx, lowest); err != nil {
		return nil, fmt.Errorf("open the stream after %d: %w: %w", lowest, errRead, err)
	}
	s.read.Store(lowest)
	p.opt.Logger.Info("following the stream", "stream", info.Name, "generation", own.Generation,
		"position", lowest, "end", info.Last, "partitions", len(own.Checkpoints), "lanes", n)
	return s, nil
}

// bounds are the lowest and the highest checkpoint as they are now.
func (s *session) bounds() extent {
	e := extent{lowest: math.MaxUint64}
	if s.lanes == nil {
		for _, c := range s.own.Checkpoints {
			e = e.with(c.Position)
		}
	}
	for _, l := range s.lanes {
		now := l.reached.Load()
		e = e.with(now.lowest).with(now.highest)
	}
	return e
}

// guard holds what the stream says of itself against the checkpoints as they
// were before it was asked: those of later may be beyond its answer.
func (s *session) guard(info StreamInfo, before extent) error {
	if err := s.p.opt.Guard(info, s.own.Stream, before.lowest, before.highest); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// position is up to where everything is committed.
func (s *session) position() uint64 {
	lowest := uint64(math.MaxUint64)
	for _, l := range s.lanes {
		for _, c := range l.at {
			lowest = min(lowest, c.Position)
		}
	}
	return lowest
}

// split hands messages to their lanes and drops what is not owned or was
// folded before this session, both before decoding.
func (s *session) split(messages []Message) map[*lane]*work {
	out := make(map[*lane]*work, len(s.lanes))
	last := messages[len(messages)-1].Position
	for _, l := range s.lanes {
		out[l] = &work{upTo: last}
	}
	for _, m := range messages {
		m.Partition = s.own.Stream.Partition(&m)
		l := s.of[m.Partition]
		if l == nil || m.Position <= s.from[m.Partition] {
			continue
		}
		w := out[l]
		if w.messages == nil {
			w.messages = make([]Message, 0, len(messages)/len(s.lanes)+1)
		}
		w.messages = append(w.messages, m)
	}
	return out
}

// once reads, folds and commits one batch.
func (s *session) once(ctx context.Context) (uint64, error) {
	messages, err := s.reader.Next(ctx, nil, s.p.opt.Batch)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRead, err)
	}
	for l, w := range s.split(messages) {
		w.all = true
		w.asOf = messages[len(messages)-1].Time
		if err := l.fold(ctx, *w); err != nil {
			return 0, err
		}
		if err := l.commit(ctx); err != nil {
			return 0, err
		}
	}
	return s.position(), nil
}

// advance moves every checkpoint on to the end of the stream, after which
// there is no message.
func (s *session) advance(ctx context.Context, info StreamInfo) error {
	for _, l := range s.lanes {
		if err := l.fold(ctx, work{upTo: info.Last, all: true, asOf: info.Time}); err != nil {
			return err
		}
		if err := l.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// follow runs a session until the first error or the end of ctx, which ends
// the reading; what was read is still committed within Options.Drain.
func (p *Projector) follow(ctx context.Context) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.reader.Close()

	store, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.opt.Drain, abandon) })()

	g, gctx := errgroup.WithContext(store)
	rctx, stop := context.WithCancel(gctx)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	in := make(map[*lane]chan work, len(s.lanes))
	for _, l := range s.lanes {
		ch := make(chan work, 2)
		in[l] = ch
		g.Go(func() error { return l.run(gctx, ch) })
	}
	g.Go(func() error {
		readers, rctx := errgroup.WithContext(rctx)
		readers.Go(func() error { return s.pump(rctx, in) })
		readers.Go(func() error { return s.tick(rctx, in) })
		err := readers.Wait()
		for _, ch := range in {
			close(ch)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop: the lanes finish
		}
		return err
	})
	return g.Wait()
}

// pump reads and hands over.
func (s *session) pump(ctx context.Context, in map[*lane]chan work) error {
	for {
		messages, err := s.reader.Next(ctx, nil, s.p.opt.Read)
		if err != nil {
			return fmt.Errorf("%w: %w", errRead, err)
		}
		for l, w := range s.split(messages) {
			if w.messages == nil {
				continue // the next tick tells how far reading is
			}
			select {
			case in[l] <- *w:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		last := messages[len(messages)-1]
		s.readAt.Store(last.Time.UnixNano())
		s.read.Store(last.Position)
	}
}

// farBehind is so many positions that waiting to write more at once pays.
const farBehind = 20_000

// tick looks at the stream's end: it moves the checkpoints of idle partitions
// on, holds the stream against the checkpoint, and notices when messages wait
// and reading stands still.
func (s *session) tick(ctx context.Context, in map[*lane]chan work) error {
	ticker := time.NewTicker(s.p.opt.Tick)
	defer ticker.Stop()
	moved, seen := time.Now(), s.read.Load()
	gone := 0 // looks in a row that found nothing left to read
	for first := true; ; first = false {
		if !first {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
		before := s.bounds()
		info, err := s.p.source.Info(ctx)
		if err != nil {
			return fmt.Errorf("stream info: %w: %w", errRead, err)
		}
		if err := s.guard(info, before); err != nil {
			return err
		}
		s.behind.Store(s.read.Load()+farBehind < info.Last)
		read, asOf := s.read.Load(), time.Unix(0, s.readAt.Load())
		if read != seen {
			moved, seen = time.Now(), read
		}
		if read < info.Last {
			next, more, err := s.p.source.First(ctx, read)
			if err != nil {
				return fmt.Errorf("look for the next message: %w: %w", errRead, err)
			}
			if more && next <= info.Last || s.read.Load() != seen {
				gone = 0
			} else {
				gone++
			}
			switch {
			case gone >= 2:
				// What was there was purged: nothing up to Last is left to
				// read. Seen twice, since a stream may change its leader
				// between two questions.
				read, asOf = info.Last, info.Time
			case s.read.Load() == seen && time.Since(moved) > s.p.opt.StallAfter && idle(in):
				return fmt.Errorf("%w: message %d waits since %s", errStalled, next, moved.Format(time.RFC3339))
			}
		} else {
			asOf = info.Time
		}
		s.p.opt.Observer.Looked(info)
		for _, ch := range in {
			select {
			case ch <- work{upTo: read, all: true, asOf: asOf}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// idle tells whether the lanes have taken all that was read, so that it is the
// reader that keeps them waiting.
func idle(in map[*lane]chan work) bool {
	for _, ch := range in {
		if len(ch) > 0 {
			return false
		}
	}
	return true
}

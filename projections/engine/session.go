package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/projections"
)

// session is one stretch of work from the checkpoints on, until the first
// error. Everything but the atomics belongs to one goroutine: the pump, once
// follow runs.
type session struct {
	p          *Projector
	own        Ownership // as acquired; partitions come and go since
	lanes      []*lane
	in         map[*lane]chan laneInput
	partitions map[int]*ownedPartition // owned
	prefetcher *prefetcher             // nil while no partition is owned

	rebalances chan rebalance
	lagSamples chan lagSample
	rewinds    *rewindQueue
	released   releaseQueue

	readAsOf     time.Time     // the stream's timestamp of the last message read
	readPosition atomic.Uint64 // everything up to here was handed to the lanes
	caughtUpTo   atomic.Uint64 // read, or beyond it where nothing was left to read
	readerEpoch  atomic.Uint64 // goes up when reading begins anew, maybe further back
	owned        atomic.Int64  // partitions
	catchingUp   atomic.Bool   // far behind the stream's end
}

// ownedPartition is an owned partition.
type ownedPartition struct {
	lane       *lane
	delivered  uint64      // messages up to here are handed over, wherever reading is
	unverified Fingerprint // that the stream is still to be held against; none: it was

	epoch int64 // in which it came
}

func (p *Projector) openSession(ctx context.Context) (*session, error) {
	info, err := p.source.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	own, err := p.store.Acquire(ctx, info)
	if err != nil {
		return nil, fmt.Errorf("take ownership: %w", err)
	}
	if p.opt.PartitionFilter != nil {
		own.Checkpoints = slices.DeleteFunc(own.Checkpoints, func(c Checkpoint) bool { return !p.opt.PartitionFilter(c.Partition) })
	}
	if len(own.Checkpoints) == 0 && !own.Dynamic {
		return nil, errors.New("no partition to fold")
	}
	s := &session{p: p, own: own, in: map[*lane]chan laneInput{}, partitions: map[int]*ownedPartition{}, rebalances: make(chan rebalance), lagSamples: make(chan lagSample),
		rewinds: newRewindQueue()}
	n := p.opt.Lanes
	if !own.Dynamic {
		n = min(n, len(own.Checkpoints))
	}
	for i := range n {
		var mine []Checkpoint
		for j := i; j < len(own.Checkpoints); j += n {
			mine = append(mine, own.Checkpoints[j])
		}
		l := s.newLane(mine, n)
		s.lanes = append(s.lanes, l)
		s.in[l] = make(chan laneInput, 2)
		for _, c := range mine {
			s.partitions[c.Partition] = &ownedPartition{l, c.Position, c.Last, c.Epoch}
		}
	}
	// Asked again: waiting for ownership may have taken long.
	if info, err = p.source.Info(ctx); err != nil {
		return nil, fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err := s.reopenReader(ctx, info); err != nil {
		return nil, err
	}
	where := []any{"stream", info.Name, "generation", own.Generation, "end", info.Last, "partitions", len(s.partitions), "lanes", n}
	if len(s.partitions) > 0 { // who has none yet says where it is once it has
		where = append(where, "position", s.readPosition.Load())
	}
	p.opt.Logger.Info("following the stream", where...)
	return s, nil
}

func (s *session) newLane(checkpoints []Checkpoint, of int) *lane {
	opt := &s.p.opt
	l := newLane(s.p.store, s.own, checkpoints, opt.Batch, opt.CacheBytes/of)
	if opt.Linger > 0 {
		l.linger = func() time.Duration {
			if s.catchingUp.Load() {
				return opt.Linger
			}
			return 0
		}
	}
	l.released = s.released.add
	l.observe = func(b *committedBatch) {
		for _, t := range b.touched {
			s.p.folded.move(t.last)
		}
		opt.Observer.Committed(b.stats(s.own.Generation))
	}
	return l
}

// reopenReader holds the stream against what was folded of it, and begins to read
// where the partition that is furthest behind is.
func (s *session) reopenReader(ctx context.Context, info StreamInfo) error {
	s.close()
	s.owned.Store(int64(len(s.partitions)))
	lowest, highest := s.bounds()
	if _, err := s.guard(ctx, info, lowest, highest); err != nil {
		return err
	}
	if err := s.p.folded.get().check(ctx, s.p.source); err != nil || len(s.partitions) == 0 {
		return err
	}
	if err := s.checkLast(ctx); err != nil {
		return err
	}
	reader, err := s.p.source.Open(ctx, lowest)
	if err != nil {
		return fmt.Errorf("open the stream after %d: %w: %w", lowest, errRead, err)
	}
	s.prefetcher = &prefetcher{reader: reader}
	s.readAsOf = time.Time{} // of a message further on
	s.readPosition.Store(lowest)
	s.caughtUpTo.Store(lowest)
	s.readerEpoch.Add(1)
	return nil
}

// checkLast holds the stream against the last messages of the partitions that it
// was not yet held against: those of whoever owned them before.
func (s *session) checkLast(ctx context.Context) error {
	for _, p := range s.partitions {
		if err := p.unverified.check(ctx, s.p.source); err != nil {
			return err
		}
		p.unverified = Fingerprint{}
	}
	return nil
}

func (s *session) close() {
	if s.prefetcher != nil {
		s.prefetcher.close()
		s.prefetcher = nil
	}
}

// bounds are the lowest and the highest position that a partition was handed
// over up to; 0 without partitions.
func (s *session) bounds() (lowest, highest uint64) {
	if len(s.partitions) == 0 {
		return 0, 0
	}
	lowest = math.MaxUint64
	for _, p := range s.partitions {
		lowest, highest = min(lowest, p.delivered), max(highest, p.delivered)
	}
	return lowest, highest
}

// guard holds the stream against what was folded of it. A follower of a
// replicated stream may deliver what its leader has not stored yet, above all
// while the leader changes: [ErrStreamBehind] has to hold for a while.
func (s *session) guard(ctx context.Context, info StreamInfo, lowest, highest uint64) (StreamInfo, error) {
	began, folded := time.Now(), s.p.folded.get()
	for again := false; ; again = true {
		err := s.p.opt.Guard(info, s.own.Stream, lowest, highest)
		if err == nil && again {
			return info, folded.check(ctx, s.p.source) // it may have lost its end after all
		}
		if err == nil {
			return info, nil
		}
		if errors.Is(err, ErrUnverified) {
			return info, err
		}
		if !errors.Is(err, ErrStreamBehind) || time.Since(began) >= s.p.opt.StreamBehindTimeout {
			return info, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		select {
		case <-ctx.Done():
			return info, ctx.Err()
		case <-time.After(s.p.opt.StreamBehindTimeout / 50):
		}
		if info, err = s.p.source.Info(ctx); err != nil {
			return info, fmt.Errorf("stream info: %w: %w", errRead, err)
		}
	}
}

// position is up to where everything is committed.
func (s *session) position() uint64 {
	lowest := uint64(math.MaxUint64)
	for _, l := range s.lanes {
		for _, c := range l.checkpoints {
			lowest = min(lowest, c.Position)
		}
	}
	return lowest
}

// split hands messages to their lanes and drops what is not owned or was
// handed over before, both before decoding.
func (s *session) split(messages []projections.Message) map[*lane]*laneInput {
	out := make(map[*lane]*laneInput, len(s.lanes))
	last := messages[len(messages)-1].Position
	for _, l := range s.lanes {
		out[l] = &laneInput{upTo: last}
	}
	for _, m := range messages {
		m.Partition = s.own.Stream.PartitionOf(&m)
		p := s.partitions[m.Partition]
		if p == nil || m.Position <= p.delivered {
			continue
		}
		w := out[p.lane]
		if w.messages == nil {
			w.messages = make([]projections.Message, 0, len(messages)/len(s.lanes)+1)
		}
		w.messages = append(w.messages, m)
	}
	return out
}

// once reads, folds and commits one batch. It waits for a message no longer than
// patience, where that is not 0, and then does nothing.
func (s *session) once(ctx context.Context, patience time.Duration) (uint64, error) {
	if s.prefetcher == nil {
		return 0, errors.New("no partition to fold")
	}
	reading, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		reading, cancel = context.WithTimeout(ctx, patience)
	}
	messages, err := s.prefetcher.reader.Next(reading, nil, s.p.opt.Batch)
	cancel()
	if patience > 0 && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return s.position(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errRead, err)
	}
	for l, w := range s.split(messages) {
		w.advanceAll = true
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
		if err := l.fold(ctx, laneInput{upTo: info.Last, advanceAll: true, asOf: info.Time}); err != nil {
			return err
		}
		if err := l.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runSession runs a session until the first error or the end of ctx, which ends
// the reading; what was read is still committed within Options.Drain.
func (p *Projector) runSession(ctx context.Context) error {
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()

	store, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.opt.DrainTimeout, abandon) })()

	g, gctx := errgroup.WithContext(store)
	rctx, stop := context.WithCancel(gctx)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	var lanes sync.WaitGroup
	for _, l := range s.lanes {
		if s.own.Dynamic { // and there is a pump to read again, which others than follow have not
			l.rewind = func(fenced []Checkpoint) { s.rewinds.add(l, fenced) }
		}
		lanes.Add(1)
		g.Go(func() error {
			defer lanes.Done()
			return l.run(gctx, s.in[l])
		})
	}
	g.Go(func() error {
		readers, rctx := errgroup.WithContext(rctx)
		readers.Go(func() error { return s.dispatch(rctx) })
		readers.Go(func() error { return s.monitorLag(rctx) })
		err := readers.Wait()
		for _, ch := range s.in {
			close(ch)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop: the lanes finish
		}
		return err
	})
	if s.own.Dynamic {
		sharing, end := context.WithCancel(gctx)
		defer end()
		g.Go(func() error { // to the end of the lanes: until then the partitions are needed
			lanes.Wait()
			end()
			return nil
		})
		g.Go(func() error { return s.heartbeat(sharing, rctx) })
	}
	if err = g.Wait(); err != nil && store.Err() != nil {
		err = fmt.Errorf("%w within %v: %w", errAbandoned, p.opt.DrainTimeout, err)
	}
	return err
}

// dispatch hands over to the lanes: what is read, how far reading is, and which
// partitions come and go. One goroutine does it all, so that each lane learns
// of it in the order in which it happened.
func (s *session) dispatch(ctx context.Context) error {
	for {
		var delivered <-chan fetchResult
		if s.prefetcher != nil {
			delivered = s.prefetcher.start(ctx, s.p.opt.Read)
		}
		var err error
		select {
		case d := <-delivered:
			if err = d.err; err == nil {
				err = s.deliver(ctx, d.messages)
			}
		case m := <-s.rebalances:
			err = s.applyRebalance(ctx, m)
		case <-s.rewinds.due:
			err = s.rewindFenced(ctx)
		case l := <-s.lagSamples:
			err = s.checkpointIdle(ctx, l)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) send(ctx context.Context, l *lane, w laneInput) error {
	select {
	case s.in[l] <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver hands messages over to their lanes.
func (s *session) deliver(ctx context.Context, messages []projections.Message) error {
	for l, w := range s.split(messages) {
		if w.messages == nil {
			continue // the next look tells how far reading is
		}
		if err := s.send(ctx, l, *w); err != nil {
			return err
		}
	}
	last := messages[len(messages)-1]
	s.readAsOf = last.Time
	s.readPosition.Store(last.Position)
	s.caughtUpTo.Store(max(last.Position, s.caughtUpTo.Load()))
	return nil
}

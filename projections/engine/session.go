package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"accountexport/projections"
)

// session is the work from one acquisition of ownership to the first error.
//
// While a session runs, one goroutine dispatches (see dispatch), one monitors the
// lag, one sends heartbeats, and each lane has one. In RunOnce and RunToEnd there
// are none of these: everything happens in the caller's goroutine.
type session struct {
	// Set by openSession and not changed afterwards; read by all.
	p     *Projector
	own   Ownership // as acquired; which partitions are owned now is in partitions
	lanes []*lane
	in    map[*lane]chan laneInput // sent to and closed by the dispatching goroutine alone

	// Owned by the dispatching goroutine, and by the caller of openSession,
	// foldOneBatch and advanceToEnd before or without it.
	partitions map[int]*ownedPartition // owned now, by number
	prefetcher *prefetcher             // nil while no partition is owned
	readAsOf   time.Time               // the stream's timestamp of the last message read

	// Messages between the goroutines. rewinds and released have a lock of their
	// own instead of a channel, since a lane must not wait for a goroutine that
	// may be waiting for the lane.
	rebalances    chan rebalance    // from heartbeat to dispatch
	streamSamples chan streamSample // from monitorStream to dispatch
	rewinds       *rewindQueue      // from the lanes to dispatch
	released      releaseQueue      // from the lanes to heartbeat

	// Written by the dispatching goroutine, read by monitorStream.
	readPosition atomic.Uint64 // everything up to here was sent to the lanes
	caughtUpTo   atomic.Uint64 // readPosition, or beyond it where no message was left to read
	readerEpoch  atomic.Uint64 // goes up when the reader is reopened, maybe further back
	owned        atomic.Int64  // number of owned partitions

	// Written by monitorStream, read by the lanes.
	catchingUp atomic.Bool // far behind the stream's end
}

// ownedPartition is a partition that this replica owns, as far as it concerns
// reading.
type ownedPartition struct {
	lane       *lane
	delivered  uint64      // messages up to here were sent to the lane, wherever the reader is
	unverified Fingerprint // still to be compared with the stream; zero once it was
	epoch      int64       // in which the partition was assigned or rewound
}

// openSession acquires ownership, divides the partitions among lanes and opens
// the reader. After an error nothing is left open; ownership is then acquired
// again by the next session.
func (p *Projector) openSession(ctx context.Context) (_ *session, err error) {
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
	s := &session{p: p, own: own, in: map[*lane]chan laneInput{}, partitions: map[int]*ownedPartition{},
		rebalances: make(chan rebalance), streamSamples: make(chan streamSample), rewinds: newRewindQueue()}
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
	defer func() { err = s.place(err) }()
	// The stream is asked again, since Acquire may have waited for long.
	if info, err = p.source.Info(ctx); err != nil {
		return nil, fmt.Errorf("stream info: %w: %w", errRead, err)
	}
	if err := s.reopenReader(ctx, info); err != nil {
		return nil, err
	}
	where := []any{"stream", info.Name, "generation", own.Generation, "end", info.Last, "partitions", len(s.partitions), "lanes", n}
	if len(s.partitions) > 0 { // without partitions there is no position; the rebalance that brings some logs it
		where = append(where, "position", s.readPosition.Load())
	}
	p.opt.Logger.Info("following the stream", where...)
	return s, nil
}

// newLane makes one of n lanes and connects it with the session.
func (s *session) newLane(checkpoints []Checkpoint, n int) *lane {
	opt := &s.p.opt
	l := newLane(s.p.store, s.own, checkpoints, opt.Batch, opt.CacheBytes/n)
	if opt.Linger > 0 {
		l.linger = func() time.Duration {
			if s.catchingUp.Load() {
				return opt.Linger
			}
			return 0
		}
	}
	l.released, l.tracer = s.released.add, opt.Tracer
	l.observe = func(b *committedBatch) {
		for _, t := range b.touched {
			s.p.folded.advance(t.last)
		}
		opt.Observer.Committed(b.stats(s.own.Generation))
	}
	return l
}

// reopenReader compares the stream with what was folded from it, and reads from
// the position on up to which the partition that is furthest behind was read.
// Without partitions there is no reader afterwards. It closes the reader that was
// there before, also where it fails.
func (s *session) reopenReader(ctx context.Context, info StreamInfo) error {
	s.closeReader()
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
	s.readAsOf = time.Time{} // the old value may be of a message further on
	s.readPosition.Store(lowest)
	s.caughtUpTo.Store(lowest)
	s.readerEpoch.Add(1)
	return nil
}

// checkLast compares the stream with the last message that was folded of each
// partition, for partitions where that was not done yet: those that another
// replica, or an earlier session, has folded.
func (s *session) checkLast(ctx context.Context) error {
	for _, p := range s.partitions {
		if err := p.unverified.check(ctx, s.p.source); err != nil {
			return err
		}
		p.unverified = Fingerprint{}
	}
	return nil
}

// closeReader closes the reader; the session can open another one.
func (s *session) closeReader() {
	if s.prefetcher != nil {
		s.prefetcher.close()
		s.prefetcher = nil
	}
}

// bounds are the lowest and the highest position up to which a partition's
// messages were sent to its lane; 0 without partitions.
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

// routeToLanes divides messages among the lanes. It drops those of partitions that are
// not owned and those that were sent before, both before they are decoded.
func (s *session) routeToLanes(messages []projections.Message) map[*lane]*laneInput {
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

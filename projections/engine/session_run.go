package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"accountexport/projections"
)

// What Run and Follow do with a session: the goroutines, and what is sent to the
// lanes.

// runSession runs a session until the first error or the end of ctx. The end of
// ctx ends the reading; what was read by then is still committed, within
// [Options.DrainTimeout]. It returns after all goroutines have ended.
func (p *Projector) runSession(ctx context.Context) error {
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.closeReader()

	store, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(p.opt.DrainTimeout, abandon) })()

	g, gctx := errgroup.WithContext(store)
	rctx, stop := context.WithCancel(gctx)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	var lanes sync.WaitGroup
	for _, l := range s.lanes {
		if s.own.Dynamic { // without dispatch, as in RunOnce, nothing could rewind a partition
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
		readers.Go(func() error { return s.monitorStream(rctx) })
		err := readers.Wait()
		for _, ch := range s.in {
			close(ch)
		}
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop: the lanes commit what they have
		}
		return err
	})
	if s.own.Dynamic {
		beating, end := context.WithCancel(gctx)
		defer end()
		g.Go(func() error { // heartbeats go on until the lanes have ended: they need their partitions until then
			lanes.Wait()
			end()
			return nil
		})
		g.Go(func() error { return s.heartbeat(beating, rctx) })
	}
	if err = g.Wait(); err != nil && store.Err() != nil {
		err = fmt.Errorf("%w within %v: %w", errAbandoned, p.opt.DrainTimeout, err)
	}
	return s.place(err)
}

// dispatch sends to the lanes: messages, how far reading has come, and which
// partitions are assigned and revoked. One goroutine sends it all, so that every
// lane sees these in the order in which they happened.
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
		case l := <-s.streamSamples:
			err = s.checkpointIdle(ctx, l)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// send waits until the lane has room for more input, or ctx ends.
func (s *session) send(ctx context.Context, l *lane, w laneInput) error {
	select {
	case s.in[l] <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver sends messages to the lanes of their partitions.
func (s *session) deliver(ctx context.Context, messages []projections.Message) error {
	for l, w := range s.routeToLanes(messages) {
		if w.messages == nil {
			continue // the next lag sample tells this lane how far reading has come
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

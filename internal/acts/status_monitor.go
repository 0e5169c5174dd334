package acts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// StatusMonitor looks how far the live generation is, and whether `projector run` would
// refuse the stream. Looks that follow each other remember what need not be asked
// again, and how far it was before. One look at a time.
type StatusMonitor struct {
	Target
	OnWait     func(what string) // told what is waited for from now on; default: nobody
	OnProgress func()            // told that what is waited for goes on, though it takes long; default: nobody

	before *Status    // at the last look
	still  *Status    // the first at which it was as far as it is
	read   uint64     // in so many connections it was seen that the stream can be read
	ledger seenLedger // compared with the stream, and found to have all
}

// seenLedger is what tells that the ledger of erasures, or the stream, may be
// another than the one compared.
type seenLedger struct {
	connections uint64
	created     time.Time
	last        uint64
	entries     int64
}

func (s seenLedger) same(now seenLedger) bool {
	return s.connections == now.connections && s.created.Equal(now.created) && s.last <= now.last && s.entries == now.entries
}

// How a generation that is behind is looked at.
const (
	rateOver  = time.Second            // a rate is measured over this at least
	stillFor  = 5 * time.Second        // so long no checkpoint moves where nobody is taken to be progressing
	lookAgain = 250 * time.Millisecond // between looks
)

// Poll looks once, and where the generation is behind goes on until it is seen to
// progress, or for five seconds. The read model is read in one snapshot, and the
// stream is asked after it: so where the stream is the one that was folded, no
// position is beyond its end.
//
// [readmodel.ErrNoGeneration] where nothing was folded yet.
func (l *StatusMonitor) Poll(ctx context.Context) (*Status, error) {
	now, err := l.look(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.compare(ctx, now); err != nil {
		return nil, err
	}
	l.since(now)
	for now.undecided() && now.At.Sub(l.still.At) < stillFor && !now.measured(l.before) {
		l.waits("a checkpoint to move on from %d", now.Position)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookAgain):
		}
		seen := now.Unreadable
		if now, err = l.look(ctx); err != nil {
			return nil, err
		}
		now.Unreadable = seen
		l.since(now)
	}
	now.measure(l.before)
	l.before = now
	return now, nil
}

// since notes where it is as far as it was, and what a rate is measured from.
func (l *StatusMonitor) since(now *Status) {
	if l.before == nil || l.before.Generation.Number != now.Generation.Number {
		l.before, l.still = now, now
	}
	if now.Position != l.still.Position {
		l.still = now
	}
}

// look reads the survey, and then asks the stream as `run` does at start.
func (l *StatusMonitor) look(ctx context.Context) (*Status, error) {
	for {
		database := l.Pool.Config().ConnConfig
		l.waits("the database at %s:%d", database.Host, database.Port)
		survey, err := admin.ReadOverview(ctx, l.Pool)
		if errors.Is(err, readmodel.ErrNoGeneration) {
			err = fmt.Errorf("%w: nothing has been projected yet; start `projector run`", err)
			l.waits("NATS at %s", l.Stream.Servers())
			if reading := l.Stream.CanRead(ctx); reading != nil {
				err = fmt.Errorf("%w, which could not read the stream: %w", err, reading)
			}
		}
		if err != nil {
			return nil, err
		}
		// Asked by itself, so that which of the two does not answer is told.
		l.waits("NATS at %s", l.Stream.Servers())
		if _, err := l.Stream.Info(ctx); err != nil && !IsRefusal(err) {
			return nil, err
		}
		l.waits("NATS at %s, and the database at %s:%d", l.Stream.Servers(), database.Host, database.Port)
		info, refused := l.CheckStream(ctx)
		if refused != nil && !IsRefusal(refused) {
			return nil, refused
		}
		now := &Status{Overview: survey, Stream: info, Refused: refused}
		now.place()
		if refused == nil && !now.Comparable {
			continue // another generation is live meanwhile
		}
		return now, nil
	}
}

// compare asks what takes longer, and where it need be asked: whether the stream
// can be read, and whether it holds all erasures of the ledger.
func (l *StatusMonitor) compare(ctx context.Context, now *Status) error {
	if now.Refused != nil {
		return nil
	}
	connections := l.Stream.ConnectCount()
	if l.read != connections {
		l.waits("NATS at %s to let the stream be read", l.Stream.Servers())
		if now.Unreadable = l.Stream.CanRead(ctx); now.Unreadable == nil {
			l.read = connections
		}
		if ctx.Err() != nil {
			return now.Unreadable
		}
	}
	seen := seenLedger{connections, now.Stream.Created, now.Stream.Last, now.Ledger.Erasures}
	comparing := &LedgerChecker{Target: l.Target}
	compare := comparing.Check
	if l.ledger.same(seen) {
		compare = comparing.checkOwed
	}
	total := now.Ledger.Erasures
	comparing.Each = func(n int) {
		l.waits("the ledger of erasures to be compared with the stream, %d of %d", n, total)
		if l.OnProgress != nil {
			l.OnProgress()
		}
	}
	l.waits("the ledger of %d erasures to be compared with the stream", total)
	err := compare(ctx)
	if errors.Is(err, ErrErasuresMissing) {
		now.Refused = err
		return nil
	}
	if err == nil {
		l.ledger = seen
	}
	return err
}

func (l *StatusMonitor) waits(format string, args ...any) {
	if l.OnWait != nil {
		l.OnWait(fmt.Sprintf(format, args...))
	}
}

// unlike tells whether a stream is another than was folded, or has lost of it:
// positions of the one say nothing of the other.
func unlike(info engine.StreamInfo, have engine.StreamIdentity, highest uint64, refused error) bool {
	err := stream.Guard(info, have, 0, highest)
	return errors.Is(err, stream.ErrOtherStream) || errors.Is(err, stream.ErrRecreated) || errors.Is(refused, engine.ErrDiverged) ||
		info.Last < highest
}

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

// StatusMonitor reads how far the live generation is, and whether `projector run` would
// refuse the stream. It remembers what need not be asked again in the next poll, and
// how far the generation was. One [StatusMonitor.Poll] at a time.
type StatusMonitor struct {
	Target
	OnWait     func(what string) // called with what it waits for from now on; default: nobody
	OnProgress func()            // called when what it waits for makes progress; default: nobody

	// From one poll to the next.
	previous   *Status    // the status that a rate is measured from
	standstill *Status    // the first status in which the position was what it is
	readableOn uint64     // the connection, by its number, on which the stream was found to be readable
	ledger     ledgerSeen // the ledger and the stream that were found to agree
}

// ledgerSeen is what has to be the same for the ledger of erasures and the stream to be
// those that were compared.
type ledgerSeen struct {
	connections uint64
	created     time.Time
	last        uint64
	entries     int64
}

func (s ledgerSeen) same(now ledgerSeen) bool {
	return s.connections == now.connections && s.created.Equal(now.created) && s.last <= now.last && s.entries == now.entries
}

// How a generation is observed that is behind.
const (
	rateWindow    = time.Second            // the least time over which a rate is measured
	standstillFor = 5 * time.Second        // how long no checkpoint has to move for it not to be progressing
	pollInterval  = 250 * time.Millisecond // between two reads of the status
)

// Poll reads the status once, and where the generation is behind, again until it is
// seen to progress, or for five seconds. The read model is read in one snapshot and the
// stream after it, so where the stream is the one that was folded, no position is after
// its end.
//
// The error is [readmodel.ErrNoGeneration] where nothing was folded yet.
func (m *StatusMonitor) Poll(ctx context.Context) (*Status, error) {
	now, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	for now.undecided() && now.At.Sub(m.standstill.At) < standstillFor && !now.measured(m.previous) {
		m.waitFor("a checkpoint to move on from %d", now.Position)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
		unreadable := now.Unreadable
		if now, err = m.readStatus(ctx); err != nil {
			return nil, err
		}
		now.Unreadable = unreadable
		m.remember(now)
	}
	now.measure(m.previous)
	m.previous = now
	return now, nil
}

// Look reads the status once and waits for nothing, for whoever looks again and again:
// a generation that is behind counts as progressing until no checkpoint has moved for
// five seconds, and the rate is that since a look of at least a second before.
// Its error is that of [StatusMonitor.Poll].
func (m *StatusMonitor) Look(ctx context.Context) (*Status, error) {
	now, err := m.readAll(ctx)
	if err != nil {
		return nil, err
	}
	now.Progressing = now.Progressing || now.At.Sub(m.standstill.At) < standstillFor
	switch {
	case now.At.Sub(m.previous.At) >= rateWindow:
		now.measure(m.previous)
		m.previous = now
	case now.Lag > 0: // too soon after it for a rate of its own
		now.Rate, now.Left = m.previous.Rate, m.previous.Left
	}
	return now, nil
}

// readAll reads the status, with what need not be asked in every one.
func (m *StatusMonitor) readAll(ctx context.Context) (*Status, error) {
	now, err := m.readStatus(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.compare(ctx, now); err != nil {
		return nil, err
	}
	m.remember(now)
	return now, nil
}

// remember keeps what a rate is measured from, and since when no checkpoint has moved.
func (m *StatusMonitor) remember(now *Status) {
	if m.previous == nil || m.previous.Generation.Number != now.Generation.Number {
		m.previous, m.standstill = now, now
	}
	if now.Position != m.standstill.Position {
		m.standstill = now
	}
}

// readStatus reads the read model, and then checks the stream as `projector run` does
// at start.
func (m *StatusMonitor) readStatus(ctx context.Context) (*Status, error) {
	for {
		database := m.Pool.Config().ConnConfig
		m.waitFor("the database at %s:%d", database.Host, database.Port)
		overview, err := admin.ReadOverview(ctx, m.Pool)
		if errors.Is(err, readmodel.ErrNoGeneration) {
			err = fmt.Errorf("%w: nothing has been projected yet; start `projector run`", err)
			m.waitFor("NATS at %s", m.Stream.Servers())
			if reading := m.Stream.CanRead(ctx); reading != nil {
				err = fmt.Errorf("%w, which could not read the stream: %w", err, reading)
			}
		}
		if err != nil {
			return nil, err
		}
		// Asked separately, so that the message names the server that does not answer.
		m.waitFor("NATS at %s", m.Stream.Servers())
		if _, err := m.Stream.Info(ctx); err != nil && !IsRefusal(err) {
			return nil, err
		}
		m.waitFor("NATS at %s, and the database at %s:%d", m.Stream.Servers(), database.Host, database.Port)
		info, refused := m.CheckStream(ctx)
		if refused != nil && !IsRefusal(refused) {
			return nil, refused
		}
		now := &Status{Overview: overview, Stream: info, Refused: refused}
		now.locate()
		if refused == nil && !now.Comparable {
			continue // another generation has become live meanwhile
		}
		return now, nil
	}
}

// compare asks what takes longer, where the answer may have changed: whether the stream
// can be read, and whether it holds all erasures on the ledger.
func (m *StatusMonitor) compare(ctx context.Context, now *Status) error {
	if now.Refused != nil {
		return nil
	}
	connections := m.Stream.ConnectCount()
	if m.readableOn != connections {
		m.waitFor("NATS at %s to let the stream be read", m.Stream.Servers())
		if now.Unreadable = m.Stream.CanRead(ctx); now.Unreadable == nil {
			m.readableOn = connections
		}
		if ctx.Err() != nil {
			return now.Unreadable
		}
	}
	seen := ledgerSeen{connections, now.Stream.Created, now.Stream.Last, now.Ledger.Erasures}
	checker := &LedgerChecker{Target: m.Target}
	compare := checker.Check
	if m.ledger.same(seen) {
		compare = checker.checkPending
	}
	total := now.Ledger.Erasures
	checker.OnProgress = func(n int) {
		m.waitFor("the ledger of erasures to be compared with the stream, %d of %d", n, total)
		if m.OnProgress != nil {
			m.OnProgress()
		}
	}
	m.waitFor("the ledger of %d erasures to be compared with the stream", total)
	err := compare(ctx)
	if errors.Is(err, ErrErasuresMissing) {
		now.Refused = err
		return nil
	}
	if err == nil {
		m.ledger = seen
	}
	return err
}

func (m *StatusMonitor) waitFor(format string, args ...any) {
	if m.OnWait != nil {
		m.OnWait(fmt.Sprintf(format, args...))
	}
}

// incomparable tells whether a stream is another than the one that was folded, or has
// lost messages that were folded: positions of the one say nothing about the other.
func incomparable(info engine.StreamInfo, have engine.StreamIdentity, highest uint64, refused error) bool {
	err := stream.Guard(info, have, 0, highest)
	return errors.Is(err, stream.ErrOtherStream) || errors.Is(err, stream.ErrRecreated) || errors.Is(refused, engine.ErrDiverged) ||
		info.Last < highest
}

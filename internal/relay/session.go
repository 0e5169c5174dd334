package relay

import (
	"context"
	"errors"
	"time"

	"accountexport/internal/ingest"
	"accountexport/projections/engine"
)

// session is a relay that works. One goroutine uses it.
type session struct {
	*Relay
	t     *table
	noted noted
	scan  scan

	passed map[string]int64 // of subjects, the number of the last message that was acknowledged

	// Of what waits, the stream holds nothing up to this position. What has a number up
	// to upTo may still come after it, sent by a relay that was taken for dead: so until
	// nothing of that is left, after stays where it is. upTo is 0 where there is nothing.
	after uint64
	upTo  int64

	connections uint64    // of the client, when the stream was last looked at closely
	checked     time.Time // when it was last looked at
	retried     time.Time // when what is refused was last tried
}

// checkInterval is how often the stream is looked at while there is nothing to publish.
const checkInterval = 2 * time.Second

// begin takes the outbox over.
func (s *session) begin(ctx context.Context) (err error) {
	if s.noted, s.upTo, err = s.t.take(ctx); err != nil {
		return ofDatabase(err)
	}
	s.after = s.noted.searchFrom
	info, err := s.check(ctx)
	if err != nil {
		return err
	}
	if s.noted.stream.Name == "" { // nothing was published from this outbox
		if err := s.t.adopt(ctx, info, info.Last, false); err != nil {
			return ofDatabase(err)
		}
		s.noted.stream, s.noted.searchFrom, s.after, s.upTo = identityOf(info), info.Last, info.Last, 0
		return nil
	}
	if s.noted.stream.ID == "" && info.ID != "" {
		if err := s.t.adopt(ctx, info, s.after, false); err != nil {
			return ofDatabase(err)
		}
		s.noted.stream.ID = info.ID
	}
	return s.recover(ctx)
}

func identityOf(info engine.StreamInfo) engine.StreamIdentity {
	return engine.StreamIdentity{Name: info.Name, Created: info.Created, ID: info.ID}
}

// run relays until ctx ends or something fails.
func (s *session) run(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(s.retried) > s.opt.Retry {
			if err := s.locked(ctx, func() error { return s.retryRefused(ctx) }); err != nil {
				return err
			}
		}
		n := 0
		err := s.locked(ctx, func() (err error) {
			n, err = s.window(ctx)
			return err
		})
		if err != nil {
			return err
		}
		s.metrics.beat()
		if n == 0 {
			if err := s.idle(ctx); err != nil {
				return err
			}
		}
	}
}

// locked does what fetches messages and publishes them. Who has removed messages, and
// then gets the lock, knows that none of them is published any more.
func (s *session) locked(ctx context.Context, do func() error) error {
	if err := s.t.beginWindow(ctx); err != nil {
		return ofDatabase(err)
	}
	if err := do(); err != nil {
		return err
	}
	return ofDatabase(s.t.endWindow(ctx))
}

// idle waits until somebody says that there is something, or it is time to look.
func (s *session) idle(ctx context.Context) error {
	if time.Since(s.checked) > checkInterval {
		if _, err := s.check(ctx); err != nil {
			return err
		}
	}
	limit, cancel := context.WithTimeout(ctx, s.opt.Poll)
	defer cancel()
	if _, err := s.t.conn.WaitForNotification(limit); err != nil && limit.Err() == nil {
		return ofDatabase(err)
	}
	return ctx.Err()
}

// check looks whether the stream is the one that was published to. A missing subject
// transform is no reason not to publish.
func (s *session) check(ctx context.Context) (engine.StreamInfo, error) {
	connections := s.stream.ConnectCount()
	info, err := s.stream.Info(ctx)
	if err != nil && !errors.Is(err, engine.ErrPartitions) {
		return info, err
	}
	if err := checkIdentity(info, s.noted); err != nil {
		return info, err
	}
	if connections != s.connections { // it may be another one since
		if err := checkLast(ctx, s.stream, info.Name, s.noted); err != nil {
			return info, err
		}
		s.connections = connections
	}
	s.checked = time.Now()
	return info, nil
}

// window publishes what waits, so much of it as fits, and tells how much that was.
func (s *session) window(ctx context.Context) (n int, err error) {
	low := s.scan.from(time.Now())
	if s.upTo > 0 {
		low = 0
	}
	began := time.Now()
	waiting, err := s.t.fetch(ctx, low, s.opt.Window, s.opt.Bytes)
	if err != nil {
		return 0, ofDatabase(err)
	}
	if low > 0 {
		behind, err := s.t.behind(ctx, waiting, low, s.passed)
		if err != nil {
			return 0, ofDatabase(err)
		}
		if behind { // and has to be published first
			low, began = 0, time.Now()
			if waiting, err = s.t.fetch(ctx, low, s.opt.Window, s.opt.Bytes); err != nil {
				return 0, ofDatabase(err)
			}
		}
	}
	s.scan.scanned(low, time.Since(began))
	if s.upTo > 0 && (len(waiting) == 0 || waiting[0].seq > s.upTo) {
		s.upTo = 0 // all that somebody may have sent is published
	}
	if len(waiting) == 0 {
		return 0, nil
	}
	info, err := s.check(ctx)
	if err != nil {
		return 0, err
	}
	if s.upTo == 0 {
		if err := s.noteSearch(ctx, info.Last); err != nil {
			return 0, err
		}
	}
	all := len(waiting)
	highest := waiting[all-1].seq
	s.scan.saw(highest)
	if waiting, err = s.setAside(ctx, waiting); err != nil || len(waiting) == 0 {
		return all, err
	}
	items := make([]ingest.Item, len(waiting))
	for i, m := range waiting {
		items[i] = ingest.Item{Message: m.Message, ID: m.id}
	}
	err = s.publish(ctx, waiting, items, s.after)
	if item := (*ingest.ItemError)(nil); errors.As(err, &item) && refusesMessage(item.Err) {
		if err := s.refuse(ctx, waiting[item.Index], item.Err, s.after); err != nil {
			return 0, err
		}
		s.upTo = max(s.upTo, highest)
		return all, s.recover(ctx) // the rest of the window may have been sent or not
	}
	return all, err
}

// noteSearch notes that the stream holds nothing of what waits up to a position.
func (s *session) noteSearch(ctx context.Context, position uint64) error {
	if err := s.t.noteSearch(ctx, position); err != nil {
		return ofDatabase(err)
	}
	s.after, s.noted.searchFrom = position, position
	return nil
}

// publish publishes items, and removes those of the messages that are acknowledged.
func (s *session) publish(ctx context.Context, waiting []message, items []ingest.Item, after uint64) error {
	var seqs []int64
	var last message
	var position uint64
	ctx, end := s.opt.Trace(ctx, items)
	err := s.publisher.Publish(ctx, items, after, func(i int, a ingest.Ack) {
		seqs = append(seqs, waiting[i].seq)
		s.pass(waiting[i])
		if a.Position >= position {
			last, position = waiting[i], a.Position
		}
		s.metrics.published(a.Found)
	})
	end(err)
	if len(seqs) == 0 {
		return err
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if failed := s.t.remove(limit, seqs, last, position); failed != nil {
		return errors.Join(ofDatabase(failed), err)
	}
	if position >= s.noted.lastPosition {
		s.noted.lastPosition, s.noted.lastSubject, s.noted.lastID = position, last.Subject, last.id
	}
	return err
}

// pass notes that a message is acknowledged. What is forgotten costs a longer look.
func (s *session) pass(m message) {
	if s.passed == nil || len(s.passed) >= rememberedSubjects {
		s.passed = map[string]int64{}
	}
	s.passed[m.Subject] = m.number
}

const rememberedSubjects = 1 << 16

// removeTimeout leaves a relay that was asked to end some time to do so.
const removeTimeout = 5 * time.Second

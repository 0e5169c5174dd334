package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"accountexport/internal/ingest"
	"accountexport/internal/stream"
)

// setAside puts on record what cannot be published as it stands in the table, and leaves
// that out, with what comes after it on its subject.
func (s *session) setAside(ctx context.Context, waiting []message) ([]message, error) {
	held := map[string]bool{}
	for _, m := range waiting {
		if m.unsound != nil && !held[m.Subject] {
			held[m.Subject] = true
			if err := s.refuse(ctx, m, m.unsound, s.after); err != nil {
				return nil, err
			}
		}
	}
	if len(held) == 0 {
		return waiting, nil
	}
	reached := map[string]bool{}
	return slices.DeleteFunc(waiting, func(m message) bool {
		reached[m.Subject] = reached[m.Subject] || m.unsound != nil
		return reached[m.Subject]
	}), nil
}

// refusesMessage tells whether JetStream refuses this message whenever it is sent, or
// for some time, and takes others. Its id may be another message's: that passes
// with the stream's window for duplicates.
func refusesMessage(err error) bool {
	return stream.RefusesMessage(err) || errors.As(err, new(*ingest.CollisionError))
}

// refuse has a message hold up its own subject only.
func (s *session) refuse(ctx context.Context, m message, why error, searchFrom uint64) error {
	s.log.Error("a message is refused: its subject is held up, and no other; it is tried again now and then",
		"subject", m.Subject, "number", m.number, "id", m.id, "every", s.opt.Retry, "error", why)
	s.scan.reset()
	return ofDatabase(s.t.refuse(ctx, m, why.Error(), searchFrom))
}

// retryRefused tries what is refused once more: a limit may have been raised.
func (s *session) retryRefused(ctx context.Context) error {
	all, err := s.t.refused(ctx)
	if err != nil {
		return ofDatabase(err)
	}
	if len(all) > 0 {
		if _, err := s.check(ctx); err != nil {
			return err
		}
	}
	for _, r := range all {
		held, err := s.retry(ctx, r)
		if err != nil {
			return err
		}
		if held {
			continue
		}
		if err := s.t.accept(ctx, r.subject); err != nil {
			return ofDatabase(err)
		}
		s.scan.reset()
	}
	s.retried = time.Now()
	return nil
}

// retry tries one message again, and tells whether it is refused as before.
func (s *session) retry(ctx context.Context, r refusedMessage) (held bool, err error) {
	m, err := s.t.refusedOne(ctx, r)
	if err != nil {
		return false, ofDatabase(err)
	}
	if m == nil {
		s.log.Warn("a message that was refused was removed from the outbox: its subject goes on without it", "subject", r.subject, "number", r.number, "id", r.id)
		return false, nil
	}
	why := m.unsound
	if why == nil {
		err := s.publish(ctx, []message{*m}, []ingest.Item{{Message: m.Message, ID: m.id, Tried: true}}, r.searchFrom)
		if item := (*ingest.ItemError)(nil); errors.As(err, &item) && refusesMessage(item.Err) {
			why = item.Err
		} else if err != nil {
			return false, err
		}
	}
	if why != nil {
		return true, ofDatabase(s.t.refuse(ctx, *m, why.Error(), r.searchFrom))
	}
	s.log.Info("a message that was refused is published", "subject", r.subject, "number", r.number, "id", r.id)
	return false, nil
}

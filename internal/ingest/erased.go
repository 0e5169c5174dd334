package ingest

import (
	"context"
	"errors"
	"fmt"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// erased is the account.erased event of a subject's account, where it is the subject's
// first message, as it is once an erasure is carried out, or the last one, as it is
// while that begins; nil where it is neither. The first one is asked for only where
// the subject is new to this publisher.
func (p *Publisher) erased(ctx context.Context, subject string, last uint64, isNew bool) (event *projections.Message, err error) {
	to := events.ParseSubject(subject)
	if to.Kind != events.SubjectAccount {
		return nil, nil
	}
	wrap := func(err error) error { return fmt.Errorf("whether the account of %s is erased: %w", subject, err) }
	if last > 0 {
		m, err := p.client.Get(ctx, last)
		switch {
		case err != nil && !errors.Is(err, stream.ErrNoMessage):
			return nil, wrap(err)
		case err == nil:
			if _, erases := stream.ErasureTime(m, to.Account); erases {
				return &m, nil
			}
		}
	}
	if !isNew {
		return nil, nil
	}
	stop := errors.New("the first one is enough")
	err = p.client.ReadSubjectAfter(ctx, subject, 0, func(m projections.Message) error {
		if _, erases := stream.ErasureTime(m, to.Account); erases {
			event = &m
		}
		return stop
	})
	if err != nil && !errors.Is(err, stop) {
		return nil, wrap(err)
	}
	return event, nil
}

// skipErased goes past the items left of an account that is erased. Its erased event may
// be among them. Where its last message is, is forgotten, so that the condition of the
// next call's first attempt fails, and the question is asked again.
func (r *run) skipErased(q *subjectQueue, event projections.Message) {
	for len(q.items) > 0 {
		is := r.items[q.items[0]].is(event)
		r.ack(q, Ack{Position: event.Position, Found: is, Erased: !is})
	}
	r.p.last.Remove(event.Subject)
}

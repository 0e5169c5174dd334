package relay

import (
	"bytes"
	"context"

	"accountexport/internal/stream"
	"accountexport/projections"
)

// recoverBatch is how many of the stream's messages are looked up in the outbox at once.
const recoverBatch = 4096

// recover removes from the outbox what the stream holds of it already, sent by an
// earlier relay, or by this one without an answer: it reads the stream once, from
// where nothing of what waits can be before to its end, and moves on to there.
func (s *session) recover(ctx context.Context) error {
	info, err := s.check(ctx)
	if err != nil {
		return err
	}
	var found []projections.Message
	flush := func() error {
		defer func() { found = found[:0] }()
		return s.removeFound(ctx, found)
	}
	err = s.stream.ReadBetween(ctx, s.after, info.Last, func(m projections.Message) error {
		if id := stream.MessageID(m); id != "" {
			m.Data = bytes.Clone(m.Data) // the reader's
			if found = append(found, m); len(found) == recoverBatch {
				s.metrics.beat()
				return flush()
			}
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	if err := s.noteSearch(ctx, info.Last); err != nil {
		return err
	}
	s.scan.reset()
	return nil
}

// removeFound removes those that wait of what was found in the stream: the same event on
// the same subject. Another one that has an id which waits is somebody else's.
func (s *session) removeFound(ctx context.Context, found []projections.Message) error {
	if len(found) == 0 {
		return nil
	}
	type key struct{ id, subject string }
	ids, at := make([]string, len(found)), map[key]projections.Message{}
	for i, m := range found {
		ids[i] = stream.MessageID(m)
		if k := (key{ids[i], m.Subject}); at[k].Position == 0 {
			at[k] = m
		}
	}
	waiting, err := s.t.waitingByID(ctx, ids)
	if err != nil {
		return ofDatabase(err)
	}
	var seqs []int64
	var last message
	var highest uint64
	for _, m := range waiting {
		if there := at[key{m.id, m.Subject}]; there.Position > 0 && bytes.Equal(there.Data, m.Data) {
			seqs = append(seqs, m.seq)
			if there.Position > highest {
				last, highest = m, there.Position
			}
			s.metrics.published(true)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	if err := s.t.remove(ctx, seqs, last, highest); err != nil {
		return ofDatabase(err)
	}
	if highest >= s.noted.lastPosition {
		s.noted.lastPosition, s.noted.lastSubject, s.noted.lastID = highest, last.Subject, last.id
	}
	return nil
}

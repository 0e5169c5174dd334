package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"accountexport/events"
	"accountexport/projections"
)

// ReadAccount calls each with the messages of one account, in stream order, up to and
// including position upTo. With upTo 0 it reads to the end that the stream has at the
// call. Messages stored without a partition token, or under a token of another
// partition count, are included. It stops at the first error of each and returns it
// wrapped.
func (c *Client) ReadAccount(ctx context.Context, account events.UUID, upTo uint64, each func(projections.Message) error) error {
	return c.ReadAccountAfter(ctx, account, 0, upTo, each)
}

// ReadAccountAfter is ReadAccount for the messages after a position.
func (c *Client) ReadAccountAfter(ctx context.Context, account events.UUID, after, upTo uint64, each func(projections.Message) error) error {
	return c.readSubject(ctx, events.AccountSubject(account), after, upTo, each)
}

// ReadTier is to a quota tier what ReadAccount is to an account.
func (c *Client) ReadTier(ctx context.Context, tier string, upTo uint64, each func(projections.Message) error) error {
	return c.ReadTierAfter(ctx, tier, 0, upTo, each)
}

// ReadTierAfter is ReadTier for the messages after a position.
func (c *Client) ReadTierAfter(ctx context.Context, tier string, after, upTo uint64, each func(projections.Message) error) error {
	if !events.SoundTier(tier) {
		return fmt.Errorf("read tier %q: no tier id", tier)
	}
	return c.readSubject(ctx, events.TierSubject(tier), after, upTo, each)
}

// ReadSubjectAfter is [Client.ReadAccountAfter] up to the stream's end for any
// subject as published.
func (c *Client) ReadSubjectAfter(ctx context.Context, published string, after uint64, each func(projections.Message) error) error {
	return c.readSubject(ctx, published, after, 0, each)
}

// fewMessages of a subject are asked for one by one, which takes the server less than
// a consumer for them.
const fewMessages = 8

// readSubject reads the messages that were published on a subject, whichever
// partition token they are stored under, from after a position up to and including
// upTo; 0 stands for the end at the call.
func (c *Client) readSubject(ctx context.Context, published string, after, upTo uint64, each func(projections.Message) error) error {
	subjects, last, err := c.storedSubjects(ctx, published)
	if err != nil {
		return fmt.Errorf("read %s: %w", published, err)
	}
	if upTo == 0 {
		upTo = last
	}
	// The subjects' last message usually lies well before upTo. Reading up to that
	// message avoids waiting only to learn that nothing follows.
	var end, messages uint64
	for i := range subjects {
		s := &subjects[i]
		s.last, err = c.get(ctx, getRequest{LastFor: s.subject})
		switch {
		case errors.Is(err, ErrNoMessage): // it is damaged, or was removed meanwhile: there may be others before it
			end, messages = max(end, last), manyMessages
			continue
		case err != nil:
			return fmt.Errorf("read %s: last message on %s: %w", published, s.subject, err)
		}
		end = max(end, s.last.Position)
		messages += s.messages
	}
	if end <= after {
		return nil
	}
	if messages <= fewMessages && end <= last { // later ones were not counted
		if after, err = c.readFew(ctx, subjects, after, upTo, each); err != nil {
			return fmt.Errorf("read %s: %w", published, err)
		}
	}
	if err := c.read(ctx, names(subjects), after, min(end, upTo), each); err != nil {
		return fmt.Errorf("read %s: %w", published, err)
	}
	return nil
}

// readFew reads messages one by one, the last one of each subject excepted, which is
// known already. That matters for a subject of two messages, which most are in a
// stream of many accounts: the server finds the first and the last message of a
// subject by an index, and goes from one message to the next by searching what lies
// between, block by block, each of which it may have to load from disk (measured: 1 s
// of CPU time for 450 MB). It returns the position up to which it has read, which is
// less than the end where messages are being removed meanwhile.
func (c *Client) readFew(ctx context.Context, subjects []storedSubject, after, upTo uint64, each func(projections.Message) error) (uint64, error) {
	pending := make([]*projections.Message, len(subjects)) // the next of each
	for {
		var next *storedSubject
		at := 0
		for i := range subjects {
			s := &subjects[i]
			if pending[i] == nil && s.last.Position > after {
				m, err := c.nextOf(ctx, s, after)
				if errors.Is(err, ErrNoMessage) {
					return after, nil
				}
				if err != nil {
					return after, err
				}
				pending[i] = &m
			}
			if m := pending[i]; m != nil && (next == nil || m.Position < pending[at].Position) {
				next, at = s, i
			}
		}
		if next == nil {
			return upTo, nil // all of them were read
		}
		m := *pending[at]
		if m.Position > upTo {
			return upTo, nil
		}
		if err := each(m); err != nil {
			return after, err
		}
		pending[at], after = nil, m.Position
	}
}

// nextOf is the first message of a subject after a position, which its last one is
// after.
func (c *Client) nextOf(ctx context.Context, s *storedSubject, after uint64) (projections.Message, error) {
	if s.messages <= 1 {
		return s.last, nil
	}
	s.messages--
	m, err := c.get(ctx, getRequest{Seq: after + 1, NextFor: s.subject})
	if err != nil && !errors.Is(err, ErrNoMessage) {
		err = fmt.Errorf("first message on %s after %d: %w", s.subject, after, err)
	}
	return m, err
}

// storedSubject is a subject under which the stream stores what was published on one.
type storedSubject struct {
	subject  string
	messages uint64              // on it
	last     projections.Message // the last of them; set by readSubject
}

func names(subjects []storedSubject) (out []string) {
	for _, s := range subjects {
		out = append(out, s.subject)
	}
	return out
}

// storedSubjects lists the subjects under which the stream stores what was published
// on one subject, and returns the stream's last position. Those are the subject with
// a partition token (several of them only where the partition count was changed) and
// the subject as published, where the stream had no transform for a time.
//
// The server finds literal subjects through an index and wildcards by scanning: in a
// stream of 1 million messages, of which one account has 67, 20 ms against 250 ms. So
// messages are read by literal subject, and only the subjects are listed by a wildcard,
// which takes it 0.2 ms among 500,000 subjects.
func (c *Client) storedSubjects(ctx context.Context, published string) (subjects []storedSubject, last uint64, err error) {
	question := struct {
		Filter string `json:"subjects_filter"`
	}{subjectRoot + "*." + strings.TrimPrefix(published, subjectRoot)}
	info, err := c.streamWith(ctx, question) // one answer lists them all: there are far fewer partitions than its limit
	if err != nil {
		return nil, 0, c.explain(err)
	}
	for _, stored := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		// A subject whose second token is no partition belongs to no account.
		if subject, _ := SplitSubject(stored); subject == published {
			subjects = append(subjects, storedSubject{subject: stored, messages: info.State.Subjects[stored]})
		}
	}
	untransformed, err := c.lastOf(ctx, published)
	if err != nil {
		return nil, 0, err
	}
	if untransformed > 0 {
		subjects = append(subjects, storedSubject{subject: published, messages: manyMessages})
	}
	return subjects, info.State.LastSeq, nil
}

// manyMessages stands for a number that was not asked for.
const manyMessages = fewMessages + 1

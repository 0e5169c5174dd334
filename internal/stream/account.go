package stream

import (
	"context"
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
	end, err := c.lastOfAny(ctx, subjects)
	if err != nil || end <= after {
		return err
	}
	if err := c.read(ctx, subjects, after, min(end, upTo), each); err != nil {
		return fmt.Errorf("read %s: %w", published, err)
	}
	return nil
}

// storedSubjects lists the subjects under which the stream stores what was published
// on one subject, and returns the stream's last position. Those are the subject with
// a partition token (several of them only where the partition count was changed) and
// the subject as published, where the stream had no transform for a time.
//
// The server finds literal subjects through an index and wildcards by scanning: in a
// stream of 1 million messages, of which one account has 67, 20 ms against 250 ms. So
// messages are read by literal subject.
func (c *Client) storedSubjects(ctx context.Context, published string) (subjects []string, last uint64, err error) {
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
			subjects = append(subjects, stored)
		}
	}
	untransformed, err := c.lastOf(ctx, published)
	if err != nil {
		return nil, 0, err
	}
	if untransformed > 0 {
		subjects = append(subjects, published)
	}
	return subjects, info.State.LastSeq, nil
}

// lastOfAny returns the position of the last message on any of the subjects, and 0
// where there is none.
func (c *Client) lastOfAny(ctx context.Context, subjects []string) (last uint64, err error) {
	for _, subject := range subjects {
		at, err := c.lastOf(ctx, subject)
		if err != nil {
			return 0, err
		}
		last = max(last, at)
	}
	return last, nil
}

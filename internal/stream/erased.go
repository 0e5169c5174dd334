package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// Erased is a sound account.erased event that the stream holds.
type Erased struct {
	Position uint64 // 0: there is none
	At       time.Time
}

// FirstErased is the first sound account.erased that the stream holds of the
// account, whose position is its tombstone's.
func (c *Client) FirstErased(ctx context.Context, account events.UUID) (first Erased, err error) {
	found := errors.New("found")
	err = c.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		if at, erases := ErasureTime(m, account); erases {
			first = Erased{m.Position, at}
			return found
		}
		return nil
	})
	if err != nil && !errors.Is(err, found) {
		return Erased{}, err
	}
	return first, nil
}

// HasErasedAt tells whether the message at a position is a sound account.erased of
// the account.
func (c *Client) HasErasedAt(ctx context.Context, account events.UUID, position uint64) (bool, error) {
	if position == 0 {
		return false, nil
	}
	m, err := c.Get(ctx, position)
	if errors.Is(err, ErrNoMessage) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, erases := ErasureTime(m, account)
	return erases, nil
}

// ErasureTime tells whether a message is a sound account.erased of the account, and
// the event's time.
func ErasureTime(m projections.Message, account events.UUID) (at time.Time, erases bool) {
	d, err := projections.Decode(m)
	if err != nil || d.Invalid != nil || d.To.Kind != events.SubjectAccount || d.To.Account != account {
		return at, false
	}
	_, erases = d.Event.Data.(*events.AccountErased)
	return d.Event.Time.GoTime(), erases
}

// PublishErased makes sure that the stream holds a sound account.erased of the
// account, and returns the first, whoever else publishes one at
// the same time. All use one message id, so that the server drops all but one.
// Its word for a duplicate is believed only where the message is there: it
// remembers ids of messages that were removed, too.
func (c *Client) PublishErased(ctx context.Context, account events.UUID, at time.Time) (first Erased, err error) {
	id := "erase-" + account.String()
	for range 5 {
		m, err := events.NewAccountErased(events.Meta{ID: id, Source: "/projector/erase", Time: events.TimeOf(at)}, account)
		if err != nil {
			return Erased{}, err
		}
		if err = c.publishHere(ctx, m); err != nil {
			return Erased{}, err
		}
		// What counts is what the stream holds: another one may have been first.
		if first, err = c.FirstErased(ctx, account); err != nil || first.Position > 0 {
			return first, err
		}
		id = "erase-" + account.String() + "-" + rand.Text()
	}
	return Erased{}, fmt.Errorf("publish that account %s is erased: the stream takes the event and does not hold it; is somebody removing messages?", account)
}

// LastIsErased tells whether the last message of the account, under its partition
// of so many, is a sound account.erased. It is one question; that it is not so
// says nothing.
func (c *Client) LastIsErased(ctx context.Context, account events.UUID, partitions int) (bool, error) {
	published := events.AccountSubject(account)
	partition := engine.StreamIdentity{Partitions: partitions}.PartitionOf(&projections.Message{Message: events.Message{Subject: published}})
	m, err := c.get(ctx, getRequest{LastFor: fmt.Sprintf("%s%d.%s", subjectRoot, partition, strings.TrimPrefix(published, subjectRoot))})
	if errors.Is(err, ErrNoMessage) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("last message of account %s: %w", account, err)
	}
	_, erases := ErasureTime(m, account)
	return erases, nil
}

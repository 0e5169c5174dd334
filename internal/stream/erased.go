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

// Erased is a valid account.erased event in the stream.
type Erased struct {
	Position uint64 // 0: there is none
	At       time.Time
}

// FirstErased returns the first valid account.erased event of the account. Its
// position is the one of the account's tombstone. Where there is none, Position is 0.
func (c *Client) FirstErased(ctx context.Context, account events.UUID) (first Erased, err error) {
	stop := errors.New("found")
	err = c.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		if at, erases := ErasureTime(m, account); erases {
			first = Erased{m.Position, at}
			return stop
		}
		return nil
	})
	if err != nil && !errors.Is(err, stop) {
		return Erased{}, err
	}
	return first, nil
}

// HasErasedAt reports whether the message at a position is a valid account.erased
// event of the account. It reports false where there is no message.
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

// ErasureTime reports whether a message is a valid account.erased event of the
// account, and returns the event's time.
func ErasureTime(m projections.Message, account events.UUID) (at time.Time, erases bool) {
	d, err := projections.Decode(m)
	if err != nil || d.Invalid != nil || d.To.Kind != events.SubjectAccount || d.To.Account != account {
		return at, false
	}
	_, erases = d.Event.Data.(*events.AccountErased)
	return d.Event.Time.GoTime(), erases
}

// PublishErased makes sure that the stream holds a valid account.erased event of the
// account and returns the first one, which may be another publisher's. All publishers
// use the same message id, so that the server drops all but one of their events. An
// answer that the event is a duplicate counts only if the event is found in the
// stream: the server also remembers the ids of messages that were removed since.
func (c *Client) PublishErased(ctx context.Context, account events.UUID, at time.Time) (first Erased, err error) {
	id := "erase-" + account.String()
	for range 5 {
		m, err := erasedMessage(id, at, account)
		if err != nil {
			return Erased{}, err
		}
		if err = c.publishHere(ctx, m); err != nil {
			return Erased{}, err
		}
		// The stream decides, not the acknowledgement: another publisher may have been first.
		if first, err = c.FirstErased(ctx, account); err != nil || first.Position > 0 {
			return first, err
		}
		id = "erase-" + account.String() + "-" + rand.Text()
	}
	return Erased{}, fmt.Errorf("publish that account %s is erased: the stream takes the event and does not hold it; is somebody removing messages?", account)
}

// erasedMessage makes an account.erased event of any account and time that the
// contract has. The constructor would refuse those of a variable that was never set,
// and who was erased under such an id, or at such a time, stays erased, too.
func erasedMessage(id string, at time.Time, account events.UUID) (events.Message, error) {
	return events.Address(fmt.Appendf(nil, `{"specversion":"1.0","id":"%s","source":"/projector/erase","type":"%s","time":"%s","partitionkey":"%s",`+
		`"datacontenttype":"application/json","data":{}}`, id, events.TypeAccountErased, events.TimeOf(at), account))
}

// LastIsErased reports whether the account's last message, stored under its partition
// of the given number, is a valid account.erased event. It costs one request. False
// does not mean that the account was not erased.
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

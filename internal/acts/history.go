package acts

import (
	"context"
	"fmt"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// History tells each of an account's messages in the stream, and what it changed.
// heard is false where the stream holds none. No database is asked.
func History(ctx context.Context, client *stream.Client, account events.UUID, each func(projections.HistoryEntry) error) (heard bool, err error) {
	h := projections.NewHistory(account)
	err = client.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		heard = true
		e, err := h.Apply(m)
		if err != nil {
			return err
		}
		return each(e)
	})
	return heard, err
}

// Document is an account's document as the stream alone has it.
type Document struct {
	State    projections.State
	Position uint64   // of its last message
	Missing  []string // what it lacks to be complete
	Body     []byte   // where it is complete
}

// DocumentAsOf folds an account's own messages, and its tier's, up to a moment. heard
// is false where the stream holds none of it. No database is asked.
func DocumentAsOf(ctx context.Context, client *stream.Client, account events.UUID, at AsOf) (d Document, heard bool, err error) {
	fold := projections.NewFold()
	add := func(m projections.Message) error {
		if at.before(m) {
			return nil
		}
		_, _, err := fold.Apply(m)
		return err
	}
	if err := client.ReadAccount(ctx, account, at.Position, add); err != nil {
		return d, false, err
	}
	a := fold.Account(account)
	if a == nil {
		return d, false, nil
	}
	tier, err := a.Tier()
	if err != nil {
		return d, true, err
	}
	if events.SoundTier(tier) {
		if err := client.ReadTier(ctx, tier, at.Position, add); err != nil {
			return d, true, err
		}
	}
	doc, missing, err := fold.Document(account)
	if err != nil {
		return d, true, err
	}
	d = Document{State: a.State(missing), Position: a.Position(), Missing: missing}
	if d.State == projections.Complete {
		d.Body = doc
	}
	return d, true, nil
}

// AsOf is a point in the stream's past; the zero value is its end.
type AsOf struct {
	Position uint64
	Time     time.Time // by the stream's own timestamps
}

// before tells whether the moment lies before the message.
func (m AsOf) before(msg projections.Message) bool {
	return !m.Time.IsZero() && msg.Time.After(m.Time) || m.Position > 0 && msg.Position > m.Position
}

// String says when, in words to go after a sentence.
func (m AsOf) String() string {
	switch {
	case m.Position > 0:
		return fmt.Sprintf(" up to position %d", m.Position)
	case !m.Time.IsZero():
		return " up to " + m.Time.Format(time.RFC3339Nano)
	}
	return ""
}

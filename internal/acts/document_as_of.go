package acts

import (
	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"context"
	"fmt"
	"time"
)

// Document is the document of an account, folded from the stream alone.
type Document struct {
	State    projections.State
	Position uint64   // of the last message of the account
	Missing  []string // what it needs to be complete
	Body     []byte   // the document, where it is complete
}

// DocumentAsOf folds the messages of an account, and of its tier, up to a point in the
// past. found is false where the stream holds no message of the account by then. The
// database is not asked.
func DocumentAsOf(ctx context.Context, client *stream.Client, account events.UUID, at AsOf) (d Document, found bool, err error) {
	fold := projections.NewFold()
	add := func(m projections.Message) error {
		if at.excludes(m) {
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

// AsOf is a point in the past of the stream; the zero value is its end.
type AsOf struct {
	Position uint64
	Time     time.Time // by the timestamps of the stream
}

// excludes tells whether a message is after that point.
func (a AsOf) excludes(msg projections.Message) bool {
	return !a.Time.IsZero() && msg.Time.After(a.Time) || a.Position > 0 && msg.Position > a.Position
}

// String says up to when, to be put after a sentence.
func (a AsOf) String() string {
	switch {
	case a.Position > 0:
		return fmt.Sprintf(" up to position %d", a.Position)
	case !a.Time.IsZero():
		return " up to " + a.Time.Format(time.RFC3339Nano)
	}
	return ""
}

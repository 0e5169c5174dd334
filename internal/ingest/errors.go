package ingest

import (
	"errors"
	"fmt"
)

// ErrNoProgress means that nothing was acknowledged for as long as
// Options.ProgressTimeout.
var ErrNoProgress = errors.New("nothing was acknowledged")

// ItemError is why one of the items cannot be published.
type ItemError struct {
	Index int
	Err   error
}

func (e *ItemError) Error() string { return e.Err.Error() }

// Unwrap is the reason.
func (e *ItemError) Unwrap() error { return e.Err }

// RepeatedIDError is of two items with one id.
type RepeatedIDError struct {
	ID            string
	First, Second int // of the items
}

func (e *RepeatedIDError) Error() string {
	return fmt.Sprintf("two messages have the id %.64q: each event needs one of its own, since JetStream drops the second one", e.ID)
}

// CollisionError means that the server has dropped an item, since it has lately
// seen its id with another message, or with one that is not there any more.
type CollisionError struct {
	Index       int
	ID, Subject string
	Position    uint64 // of the other message
	Other       string // subject of it, as published; empty where it was removed
}

func (e *CollisionError) Error() string {
	if e.Other == "" {
		return fmt.Sprintf("the server has dropped the message with id %.64q on %s as a retry of message %d, which was removed from the stream meanwhile "+
			"(was the account erased?): leave it out, or publish it once the stream's window for duplicates has passed", e.ID, e.Subject, e.Position)
	}
	return fmt.Sprintf("the server has dropped the message with id %.64q on %s as a retry of message %d on %s, which is another one: "+
		"each event needs an id of its own", e.ID, e.Subject, e.Position, e.Other)
}

package engine

import (
	"context"
	"time"

	"accountexport/projections"
)

// StreamInfo is what a stream says of itself.
type StreamInfo struct {
	Name       string
	Created    time.Time // identity: a recreated stream has another
	ID         string    // which stream it claims to be; empty where it does not say
	First      uint64    // first sequence still there
	Last       uint64    // last sequence given out; 0 for a stream that never had a message
	Partitions int       // of the stream's subject transform
	Time       time.Time // the server's clock when it answered
	Messages   uint64    // still there
	Subjects   uint64    // that they are on
	Lost       []uint64  // positions that the server says it has lost
	Deviations []Deviation
}

// Missing is how many of the positions that were given out hold no message any
// more, by the server's count. It is not computed from the first position: where
// a server lost its first messages, it says that the stream begins after them.
func (i StreamInfo) Missing() uint64 { return i.Last - min(i.Last, i.Messages) }

// Deviation is a setting of the stream that is not as the contract wants it.
// Nothing is lost by it yet.
type Deviation struct {
	What       string // the setting, in the server's words
	Have, Want string
}

// String says what is, and what would be right.
func (d Deviation) String() string { return d.What + " is " + d.Have + ", want " + d.Want }

// Bound limits how much one read returns.
type Bound struct {
	Events int
	Bytes  int
}

// Source is an ordered log of messages. Reading acknowledges nothing.
type Source interface {
	// Info asks the server; it is never answered from memory. [ErrRefused]
	// where the stream says of itself that it cannot be followed.
	Info(ctx context.Context) (StreamInfo, error)
	// FirstAfter finds the first message after the position; ok is false where
	// there is none.
	FirstAfter(ctx context.Context, after uint64) (position uint64, ok bool, err error)
	// At is the message at the position; ok is false where there is none.
	At(ctx context.Context, position uint64) (m projections.Message, ok bool, err error)
	// Open starts reading, in stream order, right after the position.
	Open(ctx context.Context, after uint64) (Reader, error)
}

// Reader yields messages in strictly ascending positions and never skips one
// that is still in the stream. After an error it is of no further use.
type Reader interface {
	// Next waits until at least one message is there, then appends to buf all
	// that are ready, up to the bound (always at least one), without waiting
	// for more. The messages stay valid after the next call.
	Next(ctx context.Context, buf []projections.Message, bound Bound) ([]projections.Message, error)
	// Close frees the reader; Next then returns an error.
	Close()
}

package engine

import (
	"context"
	"time"

	"accountexport/projections"
)

// StreamInfo is what a stream reports about itself.
type StreamInfo struct {
	Name       string
	Created    time.Time   // tells it from a stream created in its place later
	ID         string      // which stream it claims to be; empty: unknown
	First      uint64      // the first position that still holds a message
	Last       uint64      // the last position given out, whether or not its message is still there; 0: none yet
	Partitions int         // of the stream's subject transform
	Time       time.Time   // the server's clock when it answered
	Messages   uint64      // number of messages still there
	Subjects   uint64      // number of subjects that they are on
	Lost       []uint64    // positions that the server reports as lost
	Deviations []Deviation // settings that are not as the contract wants them
}

// Missing is how many of the positions given out hold no message any more, by the
// server's count of messages. It is not computed from First: a server that lost its
// first messages reports that the stream begins after them.
func (i StreamInfo) Missing() uint64 { return i.Last - min(i.Last, i.Messages) }

// Deviation is a setting of the stream that is not as the contract wants it. Nothing is
// lost by it yet.
type Deviation struct {
	What       string // the setting, by the server's name for it
	Have, Want string
}

// String says what the setting is and what it should be.
func (d Deviation) String() string { return d.What + " is " + d.Have + ", want " + d.Want }

// Bound limits the size of a read or a batch.
type Bound struct {
	Events int
	Bytes  int
}

// Source is an ordered log of messages. Reading acknowledges nothing. Its methods
// may be called from several goroutines at the same time. The package
// accountexport/projections/engine/enginetest checks an implementation.
type Source interface {
	// Info asks the server; it never answers from memory. [ErrRefused]: the stream
	// says of itself that it must not be followed.
	Info(ctx context.Context) (StreamInfo, error)
	// FirstAfter finds the first message after the position; ok is false where
	// there is none.
	FirstAfter(ctx context.Context, after uint64) (position uint64, ok bool, err error)
	// At returns the message at the position; ok is false where there is none.
	At(ctx context.Context, position uint64) (m projections.Message, ok bool, err error)
	// Open starts reading, in stream order, right after the position. That may be
	// the end of the stream or beyond it: then the reader waits for messages.
	Open(ctx context.Context, after uint64) (Reader, error)
}

// Reader yields messages in strictly ascending positions and never skips one that
// is still in the stream. After an error it is of no further use. It is used by
// one goroutine, except that Close may be called by another.
type Reader interface {
	// Next waits until at least one message is ready, then appends to buf all that
	// are ready, up to the bound but always at least one, without waiting for more.
	// It returns an error when ctx ends while it waits. The messages stay valid
	// after the next call.
	Next(ctx context.Context, buf []projections.Message, bound Bound) ([]projections.Message, error)
	// Close frees the reader. A Next that waits then returns an error, and so does
	// every later one. Close may be called more than once.
	Close()
}

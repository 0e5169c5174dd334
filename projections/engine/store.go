package engine

import (
	"context"
	"errors"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// Checkpoint is how far one partition of a generation has come.
type Checkpoint struct {
	Partition int
	Position  uint64            // every message up to here is folded and stored
	Epoch     int64             // goes up with every change of owner
	AsOf      time.Time         // all that the stream held at this time is in
	Tally     projections.Tally // messages by outcome, since the generation began
	Last      Fingerprint       // the last message folded, as far as it was noted; it may be of before Position
}

// Ownership is what a replica holds: the partitions of one generation, each at
// its checkpoint.
type Ownership struct {
	Generation  int64
	Stream      StreamIdentity // the stream that the generation was folded from
	Checkpoints []Checkpoint
	Dynamic     bool // with other replicas: partitions come and go, see [Store.Heartbeat]
}

// Assignment is a replica's part of a generation's partitions.
type Assignment struct {
	Owned  []Checkpoint // sorted by partition
	Target int          // so many are its fair part
}

// StreamIdentity tells a stream from one that was recreated in its place. It
// says nothing of what the stream holds.
type StreamIdentity struct {
	Name       string
	Created    time.Time
	ID         string // empty: not known
	Partitions int    // that the generation was folded with; 0: not known
}

// Advance moves one partition's checkpoint on.
type Advance struct {
	Partition int
	From      uint64 // the position it must be at
	To        uint64
	Epoch     int64 // the epoch it must be in
	AsOf      time.Time
	Tally     projections.Tally // added
	Last      Fingerprint       // the last message folded; none where the batch has none of the partition
}

// Batch is what one transaction writes: all of it or nothing.
type Batch struct {
	Generation int64
	Changes    []projections.Change         // at most one an account, sorted by account id
	Tiers      []projections.TierDefinition // at most one a tier, sorted by id
	Parked     []projections.ParkedMessage
	Advances   []Advance // sorted by partition
}

// ErrFenced means that another replica has taken a partition over: nothing was
// written.
var ErrFenced = errors.New("partition taken over by another replica")

// Store is the read model as the engine needs it.
type Store interface {
	// Acquire takes ownership of partitions of the live generation, which it
	// creates for the stream where there is none. Where ownership is shared,
	// those are what this replica owns already and, up to its fair part, what
	// nobody does: maybe none. Otherwise they are all; it waits as long as
	// another replica holds them. [ErrPaused] while projecting is paused.
	Acquire(ctx context.Context, stream StreamInfo) (Ownership, error)
	// Heartbeat tells the other replicas that this one lives, and, where take is
	// set, takes partitions that nobody owns, up to the fair part. [ErrFenced]
	// means that the ownership is over, and to be acquired anew; [ErrPaused] that
	// it is not to be used now, and to be acquired anew then. To be called
	// ten times within the time after which a silent replica loses its
	// partitions.
	Heartbeat(ctx context.Context, generation int64, take bool) (Assignment, error)
	// AwaitRebalance waits until partitions may change hands, as far as others tell, or
	// until ctx ends. It is not called while Share is.
	AwaitRebalance(ctx context.Context) error
	// Release gives a partition up for others to take. All that was folded of
	// it must be committed. [ErrFenced] where this replica does not own it in the
	// checkpoint's epoch: nothing has changed then.
	Release(ctx context.Context, generation int64, c Checkpoint) error
	// Owned is where those of the partitions stand that this replica owns; it is
	// not told from Share, which may be at work. [ErrFenced] where the generation
	// is no longer what it was when it was acquired.
	Owned(ctx context.Context, generation int64, partitions []int) ([]Checkpoint, error)
	// Paused says whether projecting is paused, nil where it is not, and tells the
	// other replicas that this one lives. It is for who holds no ownership, and is
	// to be called as often as Share. Moved also waits for its end.
	Paused(ctx context.Context) (*Pause, error)
	// Load reads the rows of those accounts that have one.
	Load(ctx context.Context, generation int64, accounts []events.UUID) ([]projections.AccountRow, error)
	// Lookup answers every need.
	Lookup(ctx context.Context, generation int64, needs []projections.Lookup) ([]projections.LookupResult, error)
	// Commit writes the batch in one transaction, or fails with [ErrFenced] or
	// another error, such as [ErrPaused], and writes nothing; where the connection is lost, it may
	// have been written all the same.
	Commit(ctx context.Context, b *Batch) error
}

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
	Position  uint64            // every message of the partition up to here is folded and stored
	Epoch     int64             // goes up with every change of owner, and with every refold and erasure
	AsOf      time.Time         // the stream held nothing beyond Position at this time
	Tally     projections.Tally // messages by outcome since the generation began; Acquire, Heartbeat and Owned may leave it out
	Last      Fingerprint       // the last message that a batch named, maybe further back than Position; zero if none did
}

// Ownership is what [Store.Acquire] gives a replica: partitions of one generation,
// each at its checkpoint.
type Ownership struct {
	Generation  int64
	Stream      StreamIdentity // the stream that the generation was folded from
	Checkpoints []Checkpoint   // sorted by partition
	Dynamic     bool           // ownership is shared with other replicas and changes, see [Store.Heartbeat]
}

// Assignment is a replica's part of a generation's partitions.
type Assignment struct {
	Owned  []Checkpoint // sorted by partition
	Target int          // how many partitions are the replica's fair share
}

// StreamIdentity tells a stream from one that was created in its place. It says
// nothing about what the stream holds.
type StreamIdentity struct {
	Name       string
	Created    time.Time
	ID         string // empty: not known
	Partitions int    // that the generation was folded with; 0: not known
}

// Advance moves one partition's checkpoint on.
type Advance struct {
	Partition int
	From      uint64 // the position that the checkpoint must be at
	To        uint64 // the position that it is at afterwards, From or further on
	Epoch     int64  // the epoch that it must be in
	AsOf      time.Time
	Tally     projections.Tally // added to the checkpoint's
	Last      Fingerprint       // the last message of the partition in the batch; zero keeps the checkpoint's
}

// Batch is what one transaction writes: all of it or nothing.
type Batch struct {
	Generation int64
	Changes    []projections.Change         // at most one per account, sorted by account id
	Tiers      []projections.TierDefinition // at most one per tier, sorted by id
	Parked     []projections.ParkedMessage
	Advances   []Advance // sorted by partition
}

// ErrFenced means that another replica has taken a partition over, or that a
// refold or an erasure has moved its epoch on: nothing was written.
var ErrFenced = errors.New("partition taken over by another replica")

// Store is the read model as the engine needs it. The package
// accountexport/projections/engine/enginetest checks an implementation.
//
// A Store is used by one projector at a time. Several lanes of that projector
// call Load, Lookup, Commit, Release and Owned at the same time. Beside them the
// projector calls Heartbeat and AwaitRebalance, never those two at once. It calls
// Acquire and Paused while nothing else runs.
//
// Consistency: what Commit has written is durable when it returns, and seen by
// every later Load and Lookup, whichever process calls them. Calls that concern
// different partitions need no order among themselves.
//
// A Store keeps none of the memory that it is given, and returns memory of its
// own. It need not retry: the engine resumes at the stored checkpoints after any
// error.
type Store interface {
	// Acquire takes ownership of partitions of the live generation, which it
	// creates for the stream where there is none. Where ownership is shared with
	// other replicas, it gives the partitions that this replica owns already and,
	// up to its fair share, those that have no owner; that may be none. Otherwise
	// it gives all partitions, and waits as long as another replica has them.
	//
	// Every partition that it gives is in a new epoch, so commits in earlier ones
	// are fenced. While projecting is paused it returns [ErrPaused], and has taken
	// nothing.
	Acquire(ctx context.Context, stream StreamInfo) (Ownership, error)

	// Heartbeat tells the other replicas that this one lives, and returns what it
	// owns. With claim it also takes partitions that have no owner, up to the fair
	// share. It is to be called at least ten times within the time after which a
	// silent replica loses its partitions.
	//
	// [ErrFenced]: ownership is lost and has to be acquired again. [ErrPaused]:
	// projecting is paused; ownership has to be acquired again once it is resumed.
	Heartbeat(ctx context.Context, generation int64, claim bool) (Assignment, error)

	// AwaitRebalance waits until another replica announces that partitions may
	// change hands or that a pause has ended; then it returns nil. It returns an
	// error when ctx ends. It may return nil without a reason, and announcements
	// may be lost: the engine also asks at intervals.
	AwaitRebalance(ctx context.Context) error

	// Release gives a partition up, for other replicas to claim. Everything that
	// was folded of it has to be committed. [ErrFenced]: this replica does not own
	// the partition in the checkpoint's epoch; nothing has changed.
	Release(ctx context.Context, generation int64, c Checkpoint) error

	// Owned returns the checkpoints of those of the partitions that this replica
	// owns, sorted by partition. Unlike Heartbeat it may be called by lanes.
	// [ErrFenced]: the generation is no longer the one that was acquired.
	Owned(ctx context.Context, generation int64, partitions []int) ([]Checkpoint, error)

	// Paused returns the pause, nil where projecting is not paused, and tells the
	// other replicas that this one lives. It is called without ownership, as often
	// as Heartbeat is with it.
	Paused(ctx context.Context) (*Pause, error)

	// Load returns the rows of those accounts that have one, in any order.
	Load(ctx context.Context, generation int64, accounts []events.UUID) ([]projections.AccountRow, error)

	// Lookup returns one result for each lookup, in any order.
	Lookup(ctx context.Context, generation int64, lookups []projections.Lookup) ([]projections.LookupResult, error)

	// Commit writes the batch in one transaction. It writes nothing and returns
	// [ErrFenced] where one of the batch's partitions is not at the position or not
	// in the epoch that its Advance requires, and [ErrPaused] while projecting is
	// paused. After any other error the batch may or may not have been written, as
	// when the connection was lost: the stored checkpoints tell.
	Commit(ctx context.Context, b *Batch) error
}

// Package engine projects a stream into a store: it reads messages from a
// [Source], has [accountexport/projections] fold them, and commits the result to
// a [Store], each message exactly once and in order. It knows neither NATS nor
// PostgreSQL.
//
// # Guarantees
//
// A batch is one transaction: the changed accounts, the parked messages and the
// checkpoints that have moved are stored together or not at all. Nothing is
// acknowledged to the source, so the stored checkpoint is the only record of
// progress, and a message is folded exactly once whatever fails in between.
//
// A commit states the position and the epoch that each of its partitions must be
// at. Where another replica has taken one of them over, the whole commit fails
// with [ErrFenced] and writes nothing.
//
// # Errors
//
// After any error the engine discards the states that it holds in memory, waits
// with exponential backoff and jitter, and resumes at the stored checkpoints,
// without a limit on the number of attempts. It stops only where going on could
// do harm, with [ErrRefused]; the stored documents are then untouched.
//
// # Running
//
// [Projector.Run] follows the stream until its context ends and survives errors;
// [Projector.Follow] does the same until the first error. [Projector.RunToEnd]
// processes what the stream holds now, and [Projector.RunOnce] one batch.
//
// When the projector keeps up, an event is committed at once. While a commit is
// under way the next batch grows, up to [Options.Batch].
//
// # Lanes
//
// The partitions are divided among lanes. Each lane has its own states,
// transactions and checkpoints, and one goroutine; one reader feeds them all. A
// message goes to the lane of its partition, so the order within an account is
// that of the stream.
//
// # Replicas
//
// Where a [Store] shares ownership, each replica reads the whole stream and folds
// the partitions that it owns. [Store.Heartbeat] tells it twice a second which
// those are. It releases what exceeds its fair share, highest partition numbers
// first, after everything that it has read of them is committed, and claims
// partitions that have no owner. Lanes that a rebalance does not concern go on
// undisturbed. For a newly assigned partition the reader is reopened at the
// checkpoint that is furthest behind; messages that the other partitions have had
// already are dropped before they are decoded.
//
// A refold or an erasure moves a partition's epoch on, so the next commit that
// contains the partition is refused. That commit is then repeated without it: the
// partition's states are discarded and it is rewound to its checkpoint, while the
// others go on. If that happens while the partition is being released, it is
// released at the checkpoint where it stands.
//
// A partition that another replica has claimed, because this one was silent for
// too long, ends the session with [ErrFenced]: all states in memory are discarded
// and ownership is acquired again.
//
// # Pauses
//
// While the store answers [ErrPaused], a projector has no session but keeps
// sending heartbeats, so it remains a live replica. It resumes by itself.
//
// # Memory
//
// A lane holds the states in its cache, bounded by its share of
// [Options.CacheBytes], and at most twice what [Options.Batch] allows: the batch
// being folded and the batch being committed. What messages and the store add to a
// state is counted as it arrives. The number of messages that are looked up
// together is adapted to the size of the answers. What exceeds the bounds is not
// read from the stream until there is room. After each commit an account keeps at
// most 64 KiB of the pages and waiting patches that were read or written for it,
// also while it goes on changing. One thing alone has no bound: the number of a
// user's abuse flags, since they are one value.
package engine

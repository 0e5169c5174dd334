// Package engine drives any source into any store: it reads a stream of messages,
// has [accountexport/projections] fold them, and commits what they make, exactly
// once and in order. It knows neither NATS nor PostgreSQL.
//
// [Projector.Run] reads the source in order from the lowest checkpoint on and
// commits batches: changed accounts, parked messages and the moved checkpoints
// in one transaction. Nothing is acknowledged anywhere else, so the checkpoint
// is the one truth about progress and every message is folded exactly once.
// Idle, an event is committed at once; while a commit is under way the next
// batch grows, up to its bound.
//
// On any error the engine drops what it holds in memory, waits with growing
// and random pauses, and begins again at the stored checkpoint, for ever. It
// stops only where going on could do harm: [ErrRefused]. A commit names the
// position and the epoch that each partition must be at; where another replica
// has taken one over, it fails with [ErrFenced] as a whole.
//
// Partitions are divided into lanes, each with its own states, transaction and
// checkpoints, fed by one reader. A message belongs to the lane of its
// partition; the order within an account is the stream's.
//
// # Many replicas
//
// Where a [Store] shares ownership, each replica reads the whole stream and
// folds the partitions that it owns. [Store.Heartbeat] tells it twice a second
// which those are; it gives up what is more than its fair part, the highest
// numbers first, once all that it has read of them is committed, and takes in
// what is free. Lanes that a move does not concern do not notice it. A new
// partition makes reading begin anew where the one that is furthest behind is,
// and what the others have had is dropped before decoding. A partition that
// somebody has touched, as a refold and an erasure do, is refused by the next
// commit, which is made once more without it: its states are dropped, and it is
// read again from its checkpoint, while the others go on. Touched while it is
// given up, it is given up where it stands. One that somebody else
// has taken, since this replica was silent for too long, ends the session with
// [ErrFenced]: all states in memory are dropped, and ownership is acquired anew.
//
// # Pauses
//
// While the store says [ErrPaused], a projector stands by: without a session,
// and a live replica all the same. It goes on by itself.
//
// # Memory
//
// In memory a lane holds the states in its cache, bounded by
// [Options.CacheBytes], and twice what [Options.Batch] allows: the batch that is
// being folded and the one that is being committed. What messages and the store
// add to a state counts when it comes. How many messages are looked up together
// follows from how large the answers are. Whatever does not fit is not read from
// the stream until there is room. What was stored of one account's pages and
// waiting patches is let go after each commit beyond 64 KiB, also while the
// account goes on changing. Unbounded alone is the number of a user's abuse
// flags, which are one value.
package engine

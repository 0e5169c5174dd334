// Package projections folds the control plane's events into account exports:
// the fold itself, and the engine that drives any source into any store.
//
// # The fold
//
// [Account] is a pure function of an account's messages: no clock, no
// randomness, no I/O. [Account.Apply] gives every message exactly one
// [Outcome], in the order of contract §3. [Fold] folds a whole stream in
// memory; the engine folds it through a [Store], with the same code.
//
// What the contract leaves open is decided so:
//
//   - A tier's position is that of the definition in force, which is the last
//     one that was applied.
//   - Erasing an account removes its parked messages from the record, too, and
//     its tombstone says when by the erasure's own time.
//   - What waits for an entity is kept as one patch, whatever the number of
//     events, since one patch after the other is a patch again. It is exact:
//     no event's effect depends on more than the fields it sets, but for
//     points in time that only move forward.
//   - A message on a subject that names no account or tier is counted under its
//     type where its envelope is sound, and under "other" where it is not.
//
// The cost of an event does not grow with its account. Of each long section an
// account holds a short live tail; older items are in sealed pages, which are
// read only when one of their items is named. What goes into which page is
// decided by the messages alone, so the stored form is the same however the
// stream was cut into batches.
//
// # What waits, and memory
//
// Events that wait for an entity are one patch, as large at most as the values
// that events can set in it, and one row in the store, of any number: a million
// for one entity take one row, a million for as many entities a million rows.
// Rows are asked for when a message needs them. Nothing is refused or dropped,
// however many there are; the store has to have the room.
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
//
// # Counts and digests
//
// A [Change] says how many messages it adds to its account's row and what it
// adds to the row's [Digest], which is a sum over all stored parts. The store
// adds them up; a state that was loaded anew goes on without knowing either.
//
// # The engine
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
// folds the partitions that it owns. [Store.Share] tells it twice a second
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
package projections

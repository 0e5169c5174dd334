// Package store is the read model as the engine writes it: [Store] implements
// [accountexport/projections/engine.Store].
//
// [NewStore] shares the live generation's partitions with all other replicas, whose
// heartbeats stand in export.members. [NewBuilder] builds a generation beside it, and
// [NewRollback] brings a retired one to the stream's end; each of those two is one
// replica at a time, by an advisory lock.
//
// # Guarantees
//
//   - [Store.Commit] writes a batch in one transaction or not at all, fenced by the
//     position and the epoch of each partition. What it has returned for the live
//     generation is on disk, and every later Load, from any process, sees it.
//   - No two replicas write a partition: a change of owner begins a new epoch. Which
//     replica owns what is only a matter of speed.
//   - A replica that is killed is replaced at once, and one that is frozen or cut off
//     within [Store.Takeover].
//   - Builds and roll-backs commit asynchronously. After a crash of the server their
//     last batches may be missing, documents and checkpoints alike.
//   - Those who wait for positions or partitions are notified after commits, never in
//     them. A notification may be lost; they also look by themselves.
//
// # What an error means
//
// ErrFenced: another replica has the partition, an operator has replaced accounts of
// it, or the generation is no longer this program's. ErrPaused: an operator has paused
// projecting. ErrRefused: this program may not write this generation, and says what to
// do. In each case nothing was written. After any other error, the database's or the
// network's, a batch may have been written all the same. Nothing is tried again
// here: the engine drops what it holds in memory, and calls [Store.Acquire] again.
//
// The package writes export.generations, export.checkpoints, export.members,
// export.erasures, export.dismissals, export.undismissals and the tables of its
// generation, and reads export.pause. The projector uses it, and so do the acts that
// rebuild and roll back.
package store

// Package projections is the fold: it turns the control plane's events into the
// state of an account, and that state into the export that its owner is given. The
// engine that folds a stream into a store is [accountexport/projections/engine].
//
// [Account] is a pure function of its messages: it has no context, clock,
// randomness, I/O or goroutine, which a test checks by its imports.
// [Account.Apply] gives every message exactly one [Outcome], in the order of
// contract §3. [Fold] folds a whole stream in memory; the engine folds it through a
// store, with the same code. [Tables] is what a store has to keep.
//
// # What the contract leaves open
//
//   - A tier's position is that of the definition in force, which is the last one
//     that was applied.
//   - Erasing an account also removes its parked messages from the record. Its
//     tombstone has the erasure event's own time.
//   - The events that wait for an entity are kept as one patch, whatever their
//     number, since one patch after another is a patch again. That is exact: no
//     event's effect depends on more than the fields that it sets, except for
//     points in time, which only move forward.
//   - A message on a subject that names no account or tier is counted under its
//     type if its envelope is sound, and under "other" otherwise.
//
// # Cost
//
// The cost of an event does not grow with its account. Of each long section an
// account holds a short live tail; older items are in sealed pages, which are read
// only when an event refers to one of their items. The messages alone decide what
// goes into which page, so the stored form is the same however the stream was cut
// into batches.
//
// # Waiting events
//
// The events that wait for an entity are one patch, which is at most as large as
// the values that events can set in it, and one row in the store. A million events
// that wait for one entity take one row; for a million entities, a million rows.
// Rows are looked up when a message needs them. Nothing is refused or dropped for
// being too much; the store has to have the room.
//
// # Counts and digests
//
// A [Change] says how many messages it adds to its account's row and what it adds to
// the row's [Digest], which is a sum over all stored parts. The store adds them up;
// an account that was loaded goes on without knowing either.
package projections

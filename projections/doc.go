// Package projections is the fold: what the control plane's events make of an
// account, and the export that its owner is given. The engine that folds a
// stream into a store is [accountexport/projections/engine].
//
// [Account] is a pure function of an account's messages: no context, no clock,
// no randomness, no I/O and no goroutine, which a test holds by the imports.
// [Account.Apply] gives every message exactly one [Outcome], in the order of
// contract §3. [Fold] folds a whole stream in memory; the engine folds it through
// a store, with the same code. [Tables] are what a store has to keep of it.
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
// # Counts and digests
//
// A [Change] says how many messages it adds to its account's row and what it
// adds to the row's [Digest], which is a sum over all stored parts. The store
// adds them up; a state that was loaded anew goes on without knowing either.
package projections

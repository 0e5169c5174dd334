// Package export is what the API reads of the read model.
//
// [Reader.Open] returns a document from one snapshot, with the shared tier as it
// was in that snapshot. Small documents are read many in one statement; what is
// larger is spooled at the database's speed, and sent at its client's pace from
// memory or an unlinked file: no read holds a connection or a snapshot for its
// reader. [Waiter] answers when a position is reached.
//
// A read that finds another generation live reads again in that one; one whose
// connection is lost, or that the server ends for the sake of another
// transaction, is tried again for a few seconds. [KindOf] says what kind of
// trouble an error is; none of them is the account's fault.
//
// It reads export.generations, export.checkpoints and the tables of the live
// generation, but for parked messages, and writes nothing.
package export

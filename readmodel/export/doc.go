// Package export is what the API reads of the read model: an account's document
// ([Reader]), and whether the projector has come to a position ([Waiter]).
//
// # Guarantees
//
//   - [Reader.Open] returns a document from one snapshot, with the shared tier as it
//     was in that snapshot. Everything that the stream held at [Meta.AsOf] is in it.
//   - No read holds a connection or a snapshot at its reader's pace, whatever the
//     size of the document and however many sealed pages it has. Small documents are
//     read many in one statement; larger ones are spooled at the database's speed,
//     and sent at their client's pace from memory or an unlinked file.
//   - What is held of documents is bounded by [Limits] and shared fairly between
//     accounts; a read for which there is no room waits for five seconds at most.
//   - A read that finds another generation live reads again in that one. One whose
//     connection is lost, or that the server ends in favour of another transaction, is
//     tried again for three seconds, and a spool that was cut off goes on where it was.
//   - A document is complete or [Document.WriteTo] returns an error.
//
// # How a read goes
//
// [Reader.Open] asks for the account's row and, where its size is unknown or known to
// be small, its document: groupReader puts the reads that come at the same time into
// one statement (read_one.go, read_many.go). A document of up to 16 KiB is returned as
// it is. One of up to 512 KiB becomes a spool of the Reader's medium documents, whose
// bytes budget counts. A larger one is read again, in a snapshot of its own that fills
// a spool (spool_fill.go), or of which only the wanted range is read (large_range.go).
//
// # What an error means
//
// [KindOf] tells the kinds of errors apart; none of them is the account's fault.
// [ErrBusy]: try again soon. [ErrTimeout] and unknown errors: the database does not
// answer, or has failed. [ErrSpool]: this machine's disk. After an error of Open
// nothing is held.
//
// Sizes are bytes. The package reads export.generations, export.checkpoints and the
// tables of the live generation, but for parked messages, and writes nothing;
// [accountexport/readmodel.ReaderRole] suffices. The API calls it, and so do the acts
// that read documents: comparing, rebuilding and erasing.
package export

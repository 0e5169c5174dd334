// Package readmodel is the tables: migrations, generations, checkpoints,
// writing batches, and reading documents and parked messages.
//
// A generation is one folding of the stream, in a PostgreSQL schema of its own,
// export_g<N>. Which one is live is a row of export.generations; a read names
// its generation and learns in the same snapshot whether that is still live,
// so replacing a generation takes two rows and waits for nobody.
//
// Guarantees:
//
//   - [Store.Commit] writes a batch whole or not at all: documents, parked
//     messages and checkpoints in one transaction, fenced by each partition's
//     position and epoch ([accountexport/projections/engine.ErrFenced]).
//   - [Exports.Open] returns a document from one snapshot, with the shared tier
//     as it was in that snapshot, and however long it is it holds one page at a
//     time in memory. One with sealed pages keeps its connection until closed.
//   - A position that a reader has seen never goes back within a generation:
//     commits are synchronous.
//   - A row counts the messages that its account was made of, and holds a
//     digest of all that is stored of it ([accountexport/projections.Digest]),
//     both as of counted_at; at another position of the row they say nothing.
//     In a generation of [FormatCounted] every row has them. [SwapAccounts]
//     leaves a row as it is that counts more than a fold has seen.
//   - A row counts those of its messages that are parked and dismissed, at every
//     moment and in every generation: whoever parks a message, or dismisses one
//     ([ParkedChoice.Dismiss]), holds the checkpoint of its partition.
//
// However a program comes to the database, and however that is set up, a [Link]
// finds out at start whether it goes with what the program was told
// ([ErrUnfit]), makes the settings of each session, and opens a pool of as many
// connections as there is room for. What needs a session of its own, a [Store]
// and [Waits], may go another way than the pool.
//
// Sections are stored as the JSON that is sent, in bytea compressed by lz4; a
// read copies bytes. Two roles come with the migrations, [ProjectorRole] and
// [ReaderRole].
package readmodel

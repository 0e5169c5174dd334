// Package readmodel is the tables: the migrations that make them, the roles that
// may use them, generations and their checkpoints. Whoever uses the tables has a
// package below:
//
//   - [accountexport/readmodel/export] is what the API reads: documents, and
//     waiting for a position;
//   - [accountexport/readmodel/store] is what the engine writes: batches,
//     membership, building a generation;
//   - [accountexport/readmodel/admin] is what operators do to generations:
//     comparing, cutting over, refolding, erasing, parked messages, the ledger;
//   - [accountexport/readmodel/connect] is how a program comes to the database.
//
// None of these imports another, but for store, which opens its pool by connect.
//
// A generation is one folding of the stream, in a PostgreSQL schema of its own,
// export_g<N>. Which one is live is a row of export.generations; a read names
// its generation and learns in the same snapshot whether that is still live,
// so replacing a generation takes two rows and waits for nobody.
//
// What holds of the tables, whoever writes them:
//
//   - A batch is written whole or not at all: documents, parked messages and
//     checkpoints in one transaction, fenced by each partition's position and
//     epoch ([accountexport/projections/engine.ErrFenced]).
//   - A position that a reader has seen never goes back within a generation:
//     commits to the live one are synchronous.
//   - A row counts the messages that its account was made of, and holds a
//     digest of all that is stored of it ([accountexport/projections.Digest]),
//     both as of counted_at; at another position of the row they say nothing.
//     In a generation of [FormatCounted] every row has them.
//   - A row counts those of its messages that are parked and dismissed, at every
//     moment and in every generation: whoever parks a message, or dismisses one,
//     holds the checkpoint of its partition.
//
// Sections are stored as the JSON that is sent, in bytea compressed by lz4; a
// read copies bytes. Two roles come with the migrations, [ProjectorRole] and
// [ReaderRole].
package readmodel

// Package readmodel holds the read model's tables: the migrations that make them,
// the roles that may use them, generations and their checkpoints. Those who use
// the tables have packages of their own below it:
//
//   - [accountexport/readmodel/export] is what the API reads: documents, and
//     waiting for a position;
//   - [accountexport/readmodel/store] is what the engine writes: batches,
//     membership, building a generation;
//   - [accountexport/readmodel/admin] is what operators do to generations:
//     comparing, cutting over, refolding, erasing, parked messages, the ledger;
//   - [accountexport/readmodel/connect] is how a program connects to the database.
//
// None of these imports another, but for store, which opens its pool by connect.
//
// # Generations
//
// A generation is one fold of the stream, in a PostgreSQL schema of its own,
// export_g<N>. Which one is live is a row of export.generations; a read names
// its generation and learns in the same snapshot whether that is still live,
// so replacing a generation changes two rows and waits for nobody.
//
// # Guarantees
//
// What holds of the tables, whichever package writes them:
//
//   - A batch is written whole or not at all: documents, parked messages and
//     checkpoints in one transaction, fenced by each partition's position and
//     epoch ([accountexport/projections/engine.ErrFenced]).
//   - A position that a reader has seen never goes back within a generation:
//     commits to the live one are synchronous.
//   - A row counts the messages that its account was made of, and holds a
//     digest of all that is stored of it ([accountexport/projections.Digest]),
//     both as of the position in counted_at; where the row's position is another
//     one they say nothing. In a generation of [FormatCounted] every row has them.
//   - A row counts those of its messages that are parked and dismissed, at every
//     moment and in every generation: whoever parks a message, or dismisses one,
//     holds the checkpoint of its partition.
//
// Sections are stored as the JSON that is sent, in bytea compressed by lz4 (pglz
// where the server was built without it); a read copies bytes. Positions are the
// stream's sequence numbers, and times are the stream's unless it is said
// otherwise. Two roles come with the migrations, [ProjectorRole] and [ReaderRole].
//
// # What an error means
//
// [ErrNoGeneration]: nothing was projected yet. [ErrSchemaOutdated]: `projector
// provision` was not run since the programs were updated. [ErrNotFound] and
// [ErrLive] are the caller's to answer for. [AsEngineError] tells the engine's
// errors by their SQLSTATE: ErrFenced means that another replica has the partition
// now, and ErrPaused that an operator has paused projecting. In each case nothing
// was changed. Everything else is the database's failure or the network's.
//
// This package itself reads and writes export.generations, export.checkpoints,
// export.pause and export.problems, and creates the tables of generations.
//
// # Which migration holds what
//
// Migrations are never changed once released, so a function's last definition may
// stand in a later file than its table: export.advance_checkpoints, which checks
// position and epoch of a commit (the fence), in 010_notify.sql; export.stand_still,
// which stops commits while projecting is paused, in 009_pause.sql; members in
// 002_members.sql; what was accepted in 003_acceptances.sql; storage formats in
// 004_format.sql; the ledger of erasures in 005_erasures.sql and pending erasures in
// 008_owed.sql; the stream's id and the fingerprint of the last message of each
// partition in 006_marks.sql; missing messages in 007_missing.sql; parked messages
// that were dismissed in 001_export.sql and 011_undismissals.sql; problems on record in
// 012_problems.sql; the audit in 014_audit.sql; compressed copies of
// pages in 016_segments.sql. The tables of a generation are in generation.sql.
package readmodel

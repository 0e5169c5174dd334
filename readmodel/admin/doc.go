// Package admin is what operators do to the read model: status and overview,
// comparing generations and cutting over, dropping, refolding accounts, erasing
// and the ledger of erasures, parked messages and their dismissal, pausing,
// messages that the stream no longer holds, what verification reads, and the audit of
// who looked and who did what.
//
// # Guarantees
//
//   - Each function is one transaction, or several of which each leaves the tables
//     sound: it may be killed at any point and called again.
//   - What changes documents beside a live projector begins a new epoch of the
//     partition, so that the projector drops what it holds of it in memory and goes on
//     from what is stored.
//   - [RefoldAccounts] leaves a row as it is that counts more messages than a fold has
//     seen.
//   - No checkpoint moves once [Pause] has returned.
//   - A line of the audit is committed when [NoteAudit] has returned, and none but an
//     erasure's own names an account that was erased by [ClearAccount].
//   - Transactions lock generations before checkpoints. Erasures, dismissals and pauses
//     wait for such locks for 30 seconds at most. No reader of documents waits for any
//     of them.
//
// # What an error means
//
// ErrRefused (of package engine): this program must not do that, and the text says
// which one may or what to do first. ErrPaused: an operator has paused projecting.
// [ErrDataLoss] and [ErrUnfoldable] concern one account, which was left as it is.
// [ErrPositionRegression], [ErrHistoryGone], [ErrErased] and [ErrOtherStream] say why
// nothing was changed. Errors of the server that ended a transaction in favour of
// another one are retried here, ten times. Every other error is the database's or the
// network's; whether the last transaction was committed is then unknown, and calling
// again finds out.
//
// Positions are the stream's sequence numbers. The functions read and write every table
// of every generation and those of the schema export. They are called by the acts of
// internal/acts, and by the projector's commands and metrics. What also reads the
// stream is a function that the caller passes in: this package knows no NATS.
package admin

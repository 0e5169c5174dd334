// Package admin is what operators do to the read model: status and overview,
// comparing generations and cutting over, dropping, refolding accounts, erasing
// and the ledger of erasures, parked messages and their dismissal, pausing,
// messages that the stream no longer holds, and what verification compares.
//
// Each function is one transaction, or several of which each leaves the tables
// sound: any of them may be killed at any point and called again. What changes
// documents beside a live projector moves the epoch of the partition, so that
// projector drops what it holds of it in memory and goes on from what is stored.
// [RefoldAccounts] leaves a row as it is that counts more messages than a fold has
// seen ([ErrDataLoss]).
//
// What reads the stream, too, is a function that the caller passes in: this
// package knows no NATS.
package admin

package acts

import "accountexport/readmodel/admin"

// What a line of the audit may say, all of it. A look shows something of an account or
// of messages; an act changes something.
const (
	AccountViewed    = "account.viewed" // a look at its document or its state
	AccountHistory   = "account.history"
	AccountExport    = "account.export"
	AccountVerify    = "account.verify"
	AccountErasePlan = "account.erase.plan" // a look at what an erasure would remove
	AccountErase     = admin.WhatErased     // the only line that keeps the account of an erasure
	AccountRefold    = "account.refold"

	ParkedViewed    = "parked.viewed"
	ParkedExported  = "parked.exported"
	ParkedRetry     = "parked.retry"
	ParkedDismiss   = "parked.dismiss"
	ParkedUndismiss = "parked.undismiss"

	ErasuresViewed = "erasures.viewed"
	ErasuresExport = "erasures.export"
	ErasuresImport = "erasures.import"
	ErasuresRemove = "erasures.remove"

	Provision      = "provision" // of the stream; the tables are there by then
	Rebuild        = "rebuild"
	Cutover        = "cutover"
	Rollback       = "rollback"
	GenerationDrop = "generation.drop"
	Accept         = "accept"
	AcceptViewed   = "accept.viewed" // a look at what accepting would give up
	Pause          = "pause"
	Resume         = "resume"
	Publish        = "publish"
	Import         = "import"
)

// AuditWords lists all of them.
func AuditWords() []string {
	return []string{AccountViewed, AccountHistory, AccountExport, AccountVerify, AccountErasePlan, AccountErase, AccountRefold,
		ParkedViewed, ParkedExported, ParkedRetry, ParkedDismiss, ParkedUndismiss,
		ErasuresViewed, ErasuresExport, ErasuresImport, ErasuresRemove,
		Provision, Rebuild, Cutover, Rollback, GenerationDrop, Accept, AcceptViewed, Pause, Resume, Publish, Import}
}

// By what way a look or an act came.
const (
	ThroughConsole     = "console"
	ThroughCommandLine = "command line"
)

// What has become of it. A line that says begun and whose act is over is one of a
// process that was ended before it could say so: the act was done in part, or whole.
const (
	OutcomeBegun   = "begun"
	OutcomeDone    = "done"
	OutcomeRefused = "refused" // nothing was changed: projecting is paused, the stream is refused, or nobody confirmed it
	OutcomeFailed  = "failed"  // with an error that may have come in the middle
)

package rows

import "accountexport/projections/engine"

// NamesErased is the condition for a line of export.audit that names an account and must
// not once that is erased: any but the erasure's own.
const NamesErased = `what <> 'account.erase'`

// LockAudit keeps lines of the audit that name one of the accounts $1 from being written
// until the transaction ends, and waits for those that are being written: the triggers
// of 014_audit.sql take the same locks. There are 16, taken in their order, so that
// neither many accounts nor several transactions are a trouble. It comes after the
// locks of checkpoints.
const LockAudit = `
SELECT pg_advisory_xact_lock(hashtext('accountexport audit'), s.slot)
FROM (SELECT DISTINCT hashtext(id::text) & 15 AS slot FROM unnest($1::uuid[]) AS u (id) ORDER BY slot) s`

// ForgetAudited takes the accounts $1 out of the lines of the audit; the lines stay.
const ForgetAudited = `UPDATE export.audit SET account = NULL WHERE account = ANY($1) AND ` + NamesErased

// queueAuditWipes takes the accounts that the batch erases out of the lines of the
// audit. A builder locks nothing: the live generation folds the same event, and what a
// cut-over enters into the ledger is taken out once more.
func queueAuditWipes(q QueueFunc, b *engine.Batch, ids [][16]byte) {
	q(`
SELECT pg_advisory_xact_lock(hashtext('accountexport audit'), s.slot)
FROM (SELECT DISTINCT hashtext(id::text) & 15 AS slot FROM unnest($1::uuid[]) AS u (id)
    WHERE EXISTS (SELECT FROM export.generations WHERE generation = $2 AND state = 'live') ORDER BY slot) s`, ids, b.Generation)
	q(ForgetAudited, ids)
}

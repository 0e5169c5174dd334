package rows

import (
	"slices"

	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// AccountTables are the tables of a generation that have an account's rows, the one
// with its row first. They have a column account_id, which in parked is NULL for
// messages of no account.
var AccountTables = []string{"account_export", "account_export_pages", "account_export_items", "account_waiting", "parked"}

// TablesOf are those of one generation, with the compressed copies of its pages where it
// may have such. They go with the pages by themselves: who erases removes and looks for
// them all the same, since a table that was restored or copied may have some beside no page.
func TablesOf(g readmodel.Generation) []string {
	if !g.Segments {
		return AccountTables
	}
	return append(slices.Clone(AccountTables), "account_export_segments")
}

// queueWipes removes everything that is stored of the accounts that the batch
// replaces, as it does where they are erased.
func queueWipes(q QueueFunc, b *engine.Batch) {
	var ids [][16]byte
	for i := range b.Changes {
		if b.Changes[i].Replaces {
			ids = append(ids, b.Changes[i].Row.ID)
		}
	}
	if ids == nil {
		return
	}
	for _, table := range AccountTables {
		q(readmodel.InSchema(b.Generation, `DELETE FROM {schema}.`+table+` WHERE account_id = ANY($1)`), ids)
	}
	QueueErasedWipes(q, b)
}

// QueueErasedWipes removes the dismissals of the accounts that the batch erases, and
// takes them out of the audit.
func QueueErasedWipes(q QueueFunc, b *engine.Batch) {
	ids := erasedIn(b)
	if ids == nil {
		return
	}
	for _, table := range DismissalTables {
		q(`DELETE FROM export.`+table+` WHERE account_id = ANY($1)`, ids)
	}
	queueAuditWipes(q, b, ids)
}

func erasedIn(b *engine.Batch) (ids [][16]byte) {
	for i := range b.Changes {
		if b.Changes[i].Replaces && b.Changes[i].Row.ErasedAt != nil {
			ids = append(ids, b.Changes[i].Row.ID)
		}
	}
	return ids
}

package rows

import (
	"time"

	"accountexport/projections/engine"
)

// QueueErasures enters the accounts that the batch erases into the ledger where the
// generation is live. What a generation that is being built has erased is entered
// when it goes live, and not before: it may be folded from another stream than the
// one that is served.
func QueueErasures(q QueueFunc, b *engine.Batch) {
	var ids [][16]byte
	var times []time.Time
	var positions []int64
	for i := range b.Changes {
		if r := &b.Changes[i].Row; r.ErasedAt != nil {
			ids, times, positions = append(ids, r.ID), append(times, r.ErasedAt.GoTime()), append(positions, int64(r.Position))
		}
	}
	if ids == nil {
		return
	}
	q(`
INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created)
SELECT u.id, u.at, u.p, g.stream_name, g.stream_created
FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[]) AS u (id, at, p), export.generations g
WHERE g.generation = $1 AND g.state = 'live' ORDER BY u.id`+OnLedgerConflict, b.Generation, ids, times, positions)
}

// OnLedgerConflict is the rule for an account that is on the ledger already: the
// earlier time of erasure stays, and a position that is of another stream, or of an
// event that no longer exists, is replaced. The statement calls the ledger e.
const OnLedgerConflict = `
ON CONFLICT (account_id) DO UPDATE SET erased_at = least(e.erased_at, excluded.erased_at), position = excluded.position,
    stream_name = excluded.stream_name, stream_created = excluded.stream_created
WHERE (e.position, e.stream_name, e.stream_created) IS DISTINCT FROM (excluded.position, excluded.stream_name, excluded.stream_created)`

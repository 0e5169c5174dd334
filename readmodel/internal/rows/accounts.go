package rows

import (
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// AccountTables are the tables of a generation that have an account's rows, the one
// with its row first. They have a column account_id, which in parked is NULL for
// messages of no account.
var AccountTables = []string{"account_export", "account_export_pages", "account_export_items", "account_waiting", "parked"}

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

// digestMask keeps each half of a [projections.Digest] below 2^62.
const digestMask = `4611686018427387903`

// QueueAccounts writes each changed account's row. A section that is NULL stays as it
// is, and the database keeps its stored form without reading it. Message count and
// digest are added to where they are of the row's position; where they are not, an
// older program has written since, and they become NULL.
func QueueAccounts(q QueueFunc, generation int64, changes []projections.Change) {
	n := len(changes)
	ids, partitions, positions, parked := make([][16]byte, n), make([]int32, n), make([]int64, n), make([]int32, n)
	erased, tiers, lows := make([]*time.Time, n), make([]*string, n), make([]string, n)
	usagePages, keyPages, sandboxPages, waiting := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	users, teams, usage, keys, sandboxes := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([][]byte, n)
	messages, high, low := make([]int64, n), make([]int64, n), make([]int64, n)
	for i := range changes {
		r := &changes[i].Row
		ids[i], partitions[i], positions[i], parked[i] = r.ID, int32(r.Partition), int64(r.Position), int32(r.Parked)
		if r.ErasedAt != nil {
			t := r.ErasedAt.GoTime()
			erased[i] = &t
		}
		if r.QuotaTierID != "" {
			tiers[i] = &r.QuotaTierID
		}
		lows[i], usagePages[i], keyPages[i] = r.UsageLow, int32(r.UsagePages), int32(r.KeyPages)
		sandboxPages[i], waiting[i] = int32(r.SandboxPages), int32(r.Waiting)
		users[i], teams[i], usage[i], keys[i], sandboxes[i] = r.User, r.Team, r.Usage, r.Keys, r.Sandboxes
		messages[i] = int64(changes[i].Messages)
		high[i], low[i] = int64(changes[i].Digest[0]), int64(changes[i].Digest[1])
	}
	q(readmodel.InSchema(generation, `
INSERT INTO {schema}.account_export AS t (account_id, partition, position, parked, version_minor, erased_at, quota_tier_id,
    usage_low, usage_pages, key_pages, sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail,
    counted_at, messages, digest_high, digest_low)
SELECT u.id, u.p, u.pos, u.parked, $20, u.erased, u.tier, u.low, u.up, u.kp, u.sp, u.w, u.a, u.b, u.c, u.d, u.e, u.pos, u.m, u.dh, u.dl
FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::integer[], $5::timestamptz[], $6::text[], $7::text[], $8::integer[],
    $9::integer[], $10::integer[], $11::integer[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bytea[],
    $17::bigint[], $18::bigint[], $19::bigint[])
    AS u (id, p, pos, parked, erased, tier, low, up, kp, sp, w, a, b, c, d, e, m, dh, dl)
ON CONFLICT (account_id) DO UPDATE SET
    partition = excluded.partition, position = excluded.position, parked = excluded.parked,
    quota_tier_id = excluded.quota_tier_id, usage_low = excluded.usage_low, usage_pages = excluded.usage_pages,
    key_pages = excluded.key_pages, sandbox_pages = excluded.sandbox_pages, waiting = excluded.waiting,
    user_json = coalesce(excluded.user_json, t.user_json), team_json = coalesce(excluded.team_json, t.team_json),
    usage_tail = coalesce(excluded.usage_tail, t.usage_tail), keys_tail = coalesce(excluded.keys_tail, t.keys_tail),
    sandboxes_tail = coalesce(excluded.sandboxes_tail, t.sandboxes_tail),
    counted_at = CASE WHEN t.counted_at = t.position THEN excluded.counted_at END,
    messages = CASE WHEN t.counted_at = t.position THEN t.messages + excluded.messages END,
    digest_high = CASE WHEN t.counted_at = t.position THEN (t.digest_high + excluded.digest_high) & `+digestMask+` END,
    digest_low = CASE WHEN t.counted_at = t.position THEN (t.digest_low + excluded.digest_low) & `+digestMask+` END`),
		ids, partitions, positions, parked, erased, tiers, lows, usagePages, keyPages, sandboxPages, waiting,
		users, teams, usage, keys, sandboxes, messages, high, low, int32(projections.VersionMinor))
}

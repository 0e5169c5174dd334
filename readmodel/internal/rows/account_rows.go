package rows

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/projections"
	"accountexport/readmodel"
)

// QueueAccounts writes each changed account's row. The accounts that the store has no
// row of, or no longer has one of since it is replaced, are inserted, and the others
// are updated.
func QueueAccounts(q QueueFunc, generation int64, changes []projections.Change) {
	added, known := splitByRow(changes)
	if len(added) > 0 {
		q(readmodel.InSchema(generation, insertAccounts), append(accountArrays(added), int32(projections.VersionMinor))...)
	}
	if len(known) > 0 {
		q(readmodel.InSchema(generation, updateAccounts), append(accountArrays(known), len(known))...)
	}
}

// splitByRow divides changes into those of accounts that have no row when they are
// written, and those of accounts that have one.
func splitByRow(changes []projections.Change) (added, known []projections.Change) {
	n := 0
	for i := range changes {
		if hasNoRow(&changes[i]) {
			n++
		}
	}
	switch n {
	case 0:
		return nil, changes
	case len(changes):
		return changes, nil
	}
	added, known = make([]projections.Change, 0, n), make([]projections.Change, 0, len(changes)-n)
	for i := range changes {
		if hasNoRow(&changes[i]) {
			added = append(added, changes[i])
		} else {
			known = append(known, changes[i])
		}
	}
	return added, known
}

func hasNoRow(c *projections.Change) bool { return c.New || c.Replaces }

const insertAccounts = `
INSERT INTO {schema}.account_export (account_id, partition, position, parked, version_minor, erased_at, quota_tier_id,
    usage_low, usage_pages, key_pages, sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail,
    counted_at, messages, digest_high, digest_low)
SELECT u.id, u.p, u.pos, u.parked, $20, u.erased, u.tier, u.low, u.up, u.kp, u.sp, u.w, u.a, u.b, u.c, u.d, u.e, u.pos, u.m, u.dh, u.dl
FROM ` + accountsUnnested

// updateAccounts leaves a section that is NULL as it is: the database keeps its stored
// form without reading it. Message count and digest are added to where they are of the
// row's position; where they are not, an older program has written since, and they become
// NULL. Each half of a [projections.Digest] stays below 2^62.
//
// It costs two thirds of what INSERT ... ON CONFLICT DO UPDATE does, which locks and logs
// each row before it updates it. The condition is written as = ANY so that rows can only
// be found by the primary key, whatever the table's statistics say: they may be of a time
// when it was empty, and an equality could be planned as a join that reads all of it.
//
// A row that is not there fails the batch: its account was loaded from it, and whoever
// removes it moves the partition's epoch on.
const updateAccounts = `
WITH updated AS (
    UPDATE {schema}.account_export AS t SET
        partition = u.p, position = u.pos, parked = u.parked, quota_tier_id = u.tier, usage_low = u.low, usage_pages = u.up,
        key_pages = u.kp, sandbox_pages = u.sp, waiting = u.w,
        user_json = coalesce(u.a, t.user_json), team_json = coalesce(u.b, t.team_json), usage_tail = coalesce(u.c, t.usage_tail),
        keys_tail = coalesce(u.d, t.keys_tail), sandboxes_tail = coalesce(u.e, t.sandboxes_tail),
        counted_at = CASE WHEN t.counted_at = t.position THEN u.pos END,
        messages = CASE WHEN t.counted_at = t.position THEN t.messages + u.m END,
        digest_high = CASE WHEN t.counted_at = t.position THEN (t.digest_high + u.dh) & 4611686018427387903 END,
        digest_low = CASE WHEN t.counted_at = t.position THEN (t.digest_low + u.dl) & 4611686018427387903 END
    FROM ` + accountsUnnested + `
    WHERE t.account_id = ANY (ARRAY[u.id])
    RETURNING 1)
SELECT CASE WHEN count(*) = $20 THEN 0 ELSE ('only ' || count(*) || ' of the accounts have the row that they were loaded from')::integer END
FROM updated`

// accountsUnnested are the rows of accountArrays.
const accountsUnnested = `unnest($1::uuid[], $2::integer[], $3::bigint[], $4::integer[], $5::timestamptz[], $6::text[], $7::text[], $8::integer[],
    $9::integer[], $10::integer[], $11::integer[], $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bytea[],
    $17::bigint[], $18::bigint[], $19::bigint[])
    AS u (id, p, pos, parked, erased, tier, low, up, kp, sp, w, a, b, c, d, e, m, dh, dl)`

// accountArrays are the columns of the changes' rows. pgx encodes arrays of these types
// without reflection, where it knows them or they are told to be flat.
func accountArrays(changes []projections.Change) []any {
	n := len(changes)
	ids, partitions, positions, parked := make([][16]byte, n), make([]int32, n), make([]int64, n), make([]int32, n)
	erased, tiers, lows := make(pgtype.FlatArray[*time.Time], n), make(pgtype.FlatArray[*string], n), make([]string, n)
	usagePages, keyPages, sandboxPages, waiting := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	var sections [5]pgtype.FlatArray[[]byte]
	for i := range sections {
		sections[i] = make(pgtype.FlatArray[[]byte], n)
	}
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
		for j, body := range [...][]byte{r.User, r.Team, r.Usage, r.Keys, r.Sandboxes} {
			sections[j][i] = body
		}
		messages[i] = int64(changes[i].Messages)
		high[i], low[i] = int64(changes[i].Digest[0]), int64(changes[i].Digest[1])
	}
	return []any{ids, partitions, positions, parked, erased, tiers, lows, usagePages, keyPages, sandboxPages, waiting,
		sections[0], sections[1], sections[2], sections[3], sections[4], messages, high, low}
}

// Package rows is the statements that write a batch, one by one or by COPY, for
// the store and for what operators do.
package rows

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// statement adds one statement to a commit.
type QueueFunc func(sql string, args ...any)

// Rows of one statement. A statement holds a copy of what it writes, and the
// server works on one while the next is encoded.
const (
	AccountsPerStatement  = 256
	itemsPerStatement     = 4096
	pageBytesPerStatement = 16 << 20
)

// write makes the statements that write the batch, one after the other.
func QueueBatch(b *engine.Batch, q QueueFunc) {
	q(pg.PreferIndexes)
	QueueAdvances(q, b)
	queueWipes(q, b)
	QueueErasures(q, b)
	for changes := range slices.Chunk(b.Changes, AccountsPerStatement) {
		QueueAccounts(q, b.Generation, changes)
		queuePages(q, b.Generation, changes)
	}
	queueItems(q, b)
	queueWaiting(q, b)
	queueTiers(q, b)
	queueParked(q, b)
}

// execute writes a batch, statement by statement.
func ExecBatch(ctx context.Context, tx pgx.Tx, b *engine.Batch) (err error) {
	QueueBatch(b, func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}

func QueueAdvances(q QueueFunc, b *engine.Batch) {
	n := len(b.Advances)
	partitions, from, to, epochs, asOf := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]time.Time, n)
	lastPositions, lastTimes, lastDigests := make([]*int64, n), make([]*time.Time, n), make([][]byte, n)
	var tallies [5][]int64
	for i, a := range b.Advances {
		partitions[i], from[i], to[i], epochs[i], asOf[i] = int32(a.Partition), int64(a.From), int64(a.To), a.Epoch, a.AsOf
		for j, o := range []projections.Outcome{projections.Applied, projections.Duplicate, projections.Deferred, projections.Ignored, projections.Parked} {
			tallies[j] = append(tallies[j], a.Tally[o])
		}
		if a.Last.Position > 0 {
			position := int64(a.Last.Position)
			lastPositions[i], lastTimes[i], lastDigests[i] = &position, &a.Last.Time, a.Last.Digest[:]
		}
	}
	q(`SELECT export.advance_checkpoints($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, b.Generation, partitions, from, to,
		epochs, asOf, tallies[0], tallies[1], tallies[2], tallies[3], tallies[4], lastPositions, lastTimes, lastDigests, readmodel.FormatCurrent)
}

// queueWipes removes all there is of the accounts that were erased.
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
	for _, table := range []string{"account_export", "account_export_pages", "account_export_items", "account_waiting", "parked"} {
		q(readmodel.InSchema(b.Generation, `DELETE FROM {schema}.`+table+` WHERE account_id = ANY($1)`), ids)
	}
	if gone := ErasedIn(b); gone != nil {
		for _, table := range DismissalTables {
			q(`DELETE FROM export.`+table+` WHERE account_id = ANY($1)`, gone)
		}
	}
}

func ErasedIn(b *engine.Batch) (ids [][16]byte) {
	for i := range b.Changes {
		if b.Changes[i].Replaces && b.Changes[i].Row.ErasedAt != nil {
			ids = append(ids, b.Changes[i].Row.ID)
		}
	}
	return ids
}

// digestMask keeps a half of a [projections.Digest] below 2^62.
const digestMask = `4611686018427387903`

// queueRows writes each changed account's row; a section that is NULL stays as
// it is, and the database keeps its stored form without reading it. What the
// row counts is added to, where it is of the row's position: a program that
// does not know of it may have written since.
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

func queuePages(q QueueFunc, generation int64, changes []projections.Change) {
	var ids [][16]byte
	var sections []int16
	var keys []string
	var bodies [][]byte
	for i := range changes {
		for _, p := range changes[i].Pages {
			ids, sections = append(ids, changes[i].Row.ID), append(sections, int16(p.Section))
			keys, bodies = append(keys, p.Key), append(bodies, p.Body)
		}
	}
	for len(ids) > 0 {
		n, bytes := 0, 0
		for n < len(ids) && n < itemsPerStatement && bytes < pageBytesPerStatement {
			bytes += len(bodies[n])
			n++
		}
		q(readmodel.InSchema(generation, `
INSERT INTO {schema}.account_export_pages (account_id, section, page_key, body)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[])
ON CONFLICT (account_id, section, page_key) DO UPDATE SET body = excluded.body`), ids[:n], sections[:n], keys[:n], bodies[:n])
		ids, sections, keys, bodies = ids[n:], sections[n:], keys[n:], bodies[n:]
	}
}

func queueItems(q QueueFunc, b *engine.Batch) {
	var ids [][16]byte
	var sections []int16
	var items, pages []string
	for i := range b.Changes {
		for _, it := range b.Changes[i].Sealed {
			ids, sections = append(ids, b.Changes[i].Row.ID), append(sections, int16(it.Section))
			items, pages = append(items, it.Item), append(pages, it.Page)
		}
	}
	for len(ids) > 0 {
		n := min(len(ids), itemsPerStatement)
		q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.account_export_items (account_id, section, item, page_key)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[])`), ids[:n], sections[:n], items[:n], pages[:n])
		ids, sections, items, pages = ids[n:], sections[n:], items[n:], pages[n:]
	}
}

func queueWaiting(q QueueFunc, b *engine.Batch) {
	type rows struct {
		ids      [][16]byte
		entities []int16
		keys     []string
		patches  [][]byte
	}
	var set, done rows
	for i := range b.Changes {
		for _, w := range b.Changes[i].Waiting {
			r := &set
			if w.Body == nil {
				r = &done
			}
			r.ids, r.entities = append(r.ids, b.Changes[i].Row.ID), append(r.entities, int16(w.Entity))
			r.keys, r.patches = append(r.keys, w.ID), append(r.patches, w.Body)
		}
	}
	if done.ids != nil {
		q(readmodel.InSchema(b.Generation, `
DELETE FROM {schema}.account_waiting w USING unnest($1::uuid[], $2::smallint[], $3::text[]) AS u (account_id, entity, entity_id)
WHERE w.account_id = u.account_id AND w.entity = u.entity AND w.entity_id = u.entity_id`), done.ids, done.entities, done.keys)
	}
	if set.ids != nil {
		q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.account_waiting (account_id, entity, entity_id, patch)
SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[])
ON CONFLICT (account_id, entity, entity_id) DO UPDATE SET patch = excluded.patch`), set.ids, set.entities, set.keys, set.patches)
	}
}

func queueTiers(q QueueFunc, b *engine.Batch) {
	if len(b.Tiers) == 0 {
		return
	}
	n := len(b.Tiers)
	ids, partitions, positions, bodies := make([]string, n), make([]int32, n), make([]int64, n), make([][]byte, n)
	for i, t := range b.Tiers {
		ids[i], partitions[i], positions[i], bodies[i] = t.ID, int32(t.Partition), int64(t.Position), t.Body
	}
	q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.quota_tiers (id, partition, position, body)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[])
ON CONFLICT (id) DO UPDATE SET partition = excluded.partition, position = excluded.position, body = excluded.body`),
		ids, partitions, positions, bodies)
}

func queueParked(q QueueFunc, b *engine.Batch) {
	if len(b.Parked) == 0 {
		return
	}
	parked := slices.SortedFunc(slices.Values(b.Parked), func(x, y projections.ParkedMessage) int {
		return cmp.Compare(x.Position, y.Position)
	})
	n := len(parked)
	positions, partitions, accounts, sent := make([]int64, n), make([]int32, n), make([]*[16]byte, n), make([]time.Time, n)
	subjects, types, reasons := make([]string, n), make([]string, n), make([]string, n)
	headers, payloads := make([][]byte, n), make([][]byte, n)
	for i, m := range parked {
		positions[i], partitions[i], accounts[i], sent[i] = int64(m.Position), int32(m.Partition), (*[16]byte)(m.Account), m.Time
		subjects[i], types[i], reasons[i] = printable(m.Subject), printable(m.Type), printable(m.Reason)
		headers[i], payloads[i] = headerLines(m.Header), append([]byte{}, m.Payload...)
	}
	q(readmodel.InSchema(b.Generation, `
INSERT INTO {schema}.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT * FROM unnest($1::bigint[], $2::integer[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])`),
		positions, partitions, accounts, sent, subjects, types, reasons, headers, payloads)
	QueueDismissed(q, b)
}

// queueDismissed has what was dismissed already not count in this generation
// either.
func QueueDismissed(q QueueFunc, b *engine.Batch) {
	if len(b.Parked) == 0 {
		return
	}
	positions := make([]int64, len(b.Parked))
	for i, m := range b.Parked {
		positions[i] = int64(m.Position)
	}
	q(readmodel.InSchema(b.Generation, `
UPDATE {schema}.account_export a SET dismissed = a.dismissed + d.n
FROM (SELECT d.account_id, count(*) AS n FROM export.dismissals d
    JOIN export.generations g ON g.stream_name = d.stream_name AND g.stream_created = d.stream_created
    WHERE g.generation = $1 AND d.position = ANY($2) GROUP BY d.account_id) d
WHERE a.account_id = d.account_id`), b.Generation, positions)
}

// printable makes any bytes a text that PostgreSQL takes; what it takes anyway
// stays as it is.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func headerLines(h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b := bytes.NewBuffer([]byte{})
	for _, name := range names {
		for _, value := range h[name] {
			fmt.Fprintf(b, "%s: %s\r\n", name, value)
		}
	}
	return b.Bytes()
}

// dismissalTables tell of parked messages outside generations.
var DismissalTables = []string{"dismissals", "undismissals"}

// queueLedger enters the accounts that the batch erases, where it is of the live
// generation; a tombstone is written once. What a generation that is being built
// has erased is entered when it goes live, and not before: its stream may not be
// the one of who is served. A position that the ledger has of another stream, or
// of an event that is gone, is replaced.
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

// onceMore is what becomes of an entry that is entered again.
const OnLedgerConflict = `
ON CONFLICT (account_id) DO UPDATE SET erased_at = least(e.erased_at, excluded.erased_at), position = excluded.position,
    stream_name = excluded.stream_name, stream_created = excluded.stream_created
WHERE (e.position, e.stream_name, e.stream_created) IS DISTINCT FROM (excluded.position, excluded.stream_name, excluded.stream_created)`

// queueFence fences the partition's projector.
func QueueFence(q QueueFunc, generation int64, partition int) {
	q(`UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2`, generation, partition)
}

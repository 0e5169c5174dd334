package admin

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// Sum is what went into an account's row, and the digest of what is stored of
// the account.
type Sum struct {
	Position uint64
	Messages uint64 // consumed for the account; 0 where the row does not say, and Digest says nothing
	Digest   projections.Digest
}

// ReadSums reads what the live generation's rows say; accounts never heard of are
// not in it.
func ReadSums(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (map[events.UUID]Sum, error) {
	g, err := countedLive(ctx, pool)
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT account_id, position, CASE WHEN counted_at = position THEN messages END, digest_high, digest_low
FROM {schema}.account_export WHERE account_id = ANY($1)`), uuids(accounts))
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	out := map[events.UUID]Sum{}
	var id [16]byte
	var position uint64
	var messages, high, low *int64
	if _, err := pgx.ForEachRow(rows, []any{&id, &position, &messages, &high, &low}, func() error {
		out[id] = Sum{Position: position}.says(messages, high, low)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	return out, nil
}

// says is the sum with what a row says of it.
func (s Sum) says(messages, high, low *int64) Sum {
	if messages != nil && high != nil && low != nil {
		s.Messages, s.Digest = uint64(*messages), projections.Digest{uint64(*high), uint64(*low)}
	}
	return s
}

// AddChange takes on what a flush of the account says of it.
func (s *Sum) AddChange(c *projections.Change) {
	s.Position = c.Row.Position
	if c.New || c.Replaces { // then it is all there is
		s.Messages, s.Digest = c.Messages, c.Digest
	} else {
		s.Messages, s.Digest = s.Messages+c.Messages, s.Digest.Plus(c.Digest)
	}
}

// countedLive is the live generation, with room in its rows for a count.
func countedLive(ctx context.Context, pool *pgxpool.Pool) (readmodel.Generation, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err == nil && g.Format < readmodel.FormatCounted {
		err = readmodel.AddCountColumns(ctx, pool, g.Number)
	}
	return g, err
}

// RecordSums has rows of the live generation say what a fold of their accounts'
// messages has found, where they say nothing, are at the fold's position, and
// all that is stored has the fold's digest. It returns the accounts of which
// something else is stored.
func RecordSums(ctx context.Context, pool *pgxpool.Pool, folded map[events.UUID]Sum) (other []events.UUID, err error) {
	g, err := countedLive(ctx, pool)
	if err != nil {
		return nil, err
	}
	var ids []events.UUID
	for id := range folded {
		ids = append(ids, id)
	}
	sortAccounts(ids)
	for some := range slices.Chunk(ids, rows.AccountsPerStatement) {
		differ, err := noteSome(ctx, pool, g.Number, some, folded)
		if err != nil {
			return nil, fmt.Errorf("note counts: %w", err)
		}
		other = append(other, differ...)
	}
	return other, nil
}

func noteSome(ctx context.Context, pool *pgxpool.Pool, generation int64, ids []events.UUID, folded map[events.UUID]Sum) (other []events.UUID, err error) {
	var have map[events.UUID]*stored
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		have, err = computeSums(ctx, tx, generation, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	var equal []events.UUID
	var positions, messages, high, low []int64
	for _, id := range ids {
		want, is := folded[id], have[id]
		switch {
		case is == nil, is.position != want.Position, is.recorded.Messages > 0:
		case is.digest != want.Digest:
			other = append(other, id)
		default:
			equal = append(equal, id)
			positions, messages = append(positions, int64(want.Position)), append(messages, int64(want.Messages))
			high, low = append(high, int64(want.Digest[0])), append(low, int64(want.Digest[1]))
		}
	}
	if equal == nil {
		return other, nil
	}
	// What is stored at a position stays as it is while the row is there. A row
	// that is just being written is left for another time.
	_, err = pool.Exec(ctx, readmodel.InSchema(generation, `
WITH found AS (SELECT u.* FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS u (id, position, messages, high, low)),
mine AS (
    SELECT f.* FROM {schema}.account_export a JOIN found f ON a.account_id = f.id
    WHERE a.account_id = ANY($1) AND a.position = f.position AND a.counted_at IS DISTINCT FROM a.position
    ORDER BY a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED)
UPDATE {schema}.account_export a SET counted_at = m.position, messages = m.messages, digest_high = m.high, digest_low = m.low
FROM mine m WHERE a.account_id = m.id AND a.account_id = ANY($1)`), uuids(equal), positions, messages, high, low)
	return other, err
}

// stored is what is stored of an account, summed up.
type stored struct {
	position uint64
	parked   int
	minor    int
	erased   bool
	digest   projections.Digest // of what is stored
	recorded Sum                // what the row says itself
	facts    Facts
	extent   projections.Extent
	beside   int      // bytes of what waits and is parked
	at       []uint64 // positions of parked messages
}

// Facts is what is stored of an account that its digest is not of: what reading
// and folding it go by.
type Facts struct {
	Tier                                        string // that the row names
	UsagePages, KeyPages, SandboxPages, Waiting int    // as the row counts them
	Items                                       uint64 // a sum over the directory of items
}

// AddChange takes on what a flush of the account has changed.
func (f *Facts) AddChange(c *projections.Change) {
	if c.New || c.Replaces { // then it is all there is
		f.Items = 0
	}
	f.Tier, f.UsagePages, f.KeyPages, f.SandboxPages, f.Waiting = c.Row.QuotaTierID, c.Row.UsagePages, c.Row.KeyPages, c.Row.SandboxPages, c.Row.Waiting
	for _, i := range c.Sealed {
		f.Items += itemSum(i.Section, i.Item, i.Page)
	}
}

func itemSum(section projections.SectionKind, item, page string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %q %q", section, item, page)
	return h.Sum64()
}

// computeSums reads all that a generation stores of some accounts, page by page. It
// wants a snapshot, or that nobody else writes.
func computeSums(ctx context.Context, tx pgx.Tx, generation int64, accounts []events.UUID) (map[events.UUID]*stored, error) {
	out := map[events.UUID]*stored{}
	u := summing{ctx: ctx, tx: tx, generation: generation, ids: uuids(accounts)}
	var id [16]byte
	if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
		return nil, fmt.Errorf("sum up: %w", err)
	}
	var r projections.AccountRow
	var erased *time.Time
	var says, messages, high, low *int64
	var minor int
	var facts Facts
	u.each(`
SELECT account_id, position, parked, version_minor, erased_at, usage_low, user_json, team_json, usage_tail, keys_tail, sandboxes_tail,
    counted_at, messages, digest_high, digest_low, coalesce(quota_tier_id, ''), usage_pages, key_pages, sandbox_pages, waiting
FROM {schema}.account_export WHERE account_id = ANY($1)`,
		[]any{&id, &r.Position, &r.Parked, &minor, &erased, &r.UsageLow, &r.User, &r.Team, &r.Usage, &r.Keys, &r.Sandboxes,
			&says, &messages, &high, &low, &facts.Tier, &facts.UsagePages, &facts.KeyPages, &facts.SandboxPages, &facts.Waiting},
		func() error {
			s := &stored{position: r.Position, parked: r.Parked, minor: minor, erased: erased != nil, facts: facts}
			if r.ErasedAt = nil; erased != nil {
				at := events.TimeOf(*erased)
				r.ErasedAt = &at
			}
			if says != nil && uint64(*says) == r.Position {
				s.recorded = Sum{Position: r.Position}.says(messages, high, low)
			}
			s.digest, s.extent = projections.DigestRow(&r), projections.ExtentOf(&r)
			out[id] = s
			return nil
		})
	var section, entity int16
	var key string
	var body pgtype.DriverBytes // valid until the next row
	u.each(`SELECT account_id, section, page_key, body FROM {schema}.account_export_pages WHERE account_id = ANY($1)`,
		[]any{&id, &section, &key, &body}, func() error {
			s := out[id]
			if s == nil {
				return nil
			}
			s.digest = s.digest.Plus(projections.DigestPage(projections.SectionKind(section), key, body))
			s.extent.AddPage(projections.SectionKind(section), body)
			return nil
		})
	var page string
	u.each(`SELECT account_id, section, item, page_key FROM {schema}.account_export_items WHERE account_id = ANY($1)`,
		[]any{&id, &section, &key, &page}, func() error {
			if s := out[id]; s != nil {
				s.facts.Items += itemSum(projections.SectionKind(section), key, page)
			}
			return nil
		})
	u.each(`SELECT account_id, entity, entity_id, patch FROM {schema}.account_waiting WHERE account_id = ANY($1)`,
		[]any{&id, &entity, &key, &body}, func() error {
			if s := out[id]; s != nil {
				s.digest = s.digest.Plus(projections.DigestWaiting(projections.EntityKind(entity), key, body))
				s.beside += len(body)
			}
			return nil
		})
	var position uint64
	u.each(`SELECT account_id, position, payload FROM {schema}.parked WHERE account_id = ANY($1)`,
		[]any{&id, &position, &body}, func() error {
			if s := out[id]; s != nil {
				s.digest = s.digest.Plus(projections.DigestParked(position, body))
				s.beside += len(body)
				s.at = append(s.at, position)
			}
			return nil
		})
	if u.err != nil {
		return nil, fmt.Errorf("sum up: %w", u.err)
	}
	return out, nil
}

// summing reads until the first error.
type summing struct {
	ctx        context.Context
	tx         pgx.Tx
	generation int64
	ids        [][16]byte
	err        error
}

func (u *summing) each(sql string, into []any, do func() error) {
	if u.err != nil {
		return
	}
	rows, err := u.tx.Query(u.ctx, readmodel.InSchema(u.generation, sql), u.ids)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, do)
	}
	u.err = err
}

func uuids(accounts []events.UUID) [][16]byte {
	ids := make([][16]byte, len(accounts))
	for i, id := range accounts {
		ids[i] = id
	}
	return ids
}

// sortAccounts puts accounts in the order in which rows are locked.
func sortAccounts(ids []events.UUID) {
	slices.SortFunc(ids, func(a, b events.UUID) int { return slices.Compare(a[:], b[:]) })
}

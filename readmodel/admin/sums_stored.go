package admin

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// storedSum is what is stored of an account, summed up.
type storedSum struct {
	position   uint64
	parked     int
	minor      int
	erased     bool
	digest     projections.Digest // of what is stored
	recorded   Sum                // what the row itself records
	facts      Facts
	extent     projections.Extent
	otherBytes int      // of what waits and is parked
	parkedAt   []uint64 // positions of parked messages
}

// Facts is what is stored of an account beside what its digest covers: what reading
// and folding it go by.
type Facts struct {
	Tier                                        string // that the row names
	UsagePages, KeyPages, SandboxPages, Waiting int    // as the row counts them
	Items                                       uint64 // a sum over the directory of items
}

// AddChange adds what a flush of the account has changed.
func (f *Facts) AddChange(c *projections.Change) {
	if c.New || c.Replaces { // then the change is everything that is stored
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

// computeSums reads everything that a generation stores of some accounts, page by page.
// It needs a snapshot, or that no other transaction writes.
func computeSums(ctx context.Context, tx pgx.Tx, generation int64, accounts []events.UUID) (map[events.UUID]*storedSum, error) {
	out := map[events.UUID]*storedSum{}
	reader := sumReader{ctx: ctx, tx: tx, generation: generation, ids: uuids(accounts)}
	var id [16]byte
	if _, err := tx.Exec(ctx, pg.PreferIndexes); err != nil {
		return nil, fmt.Errorf("sum up: %w", err)
	}
	var r projections.AccountRow
	var erased *time.Time
	var countedAt, messages, high, low *int64
	var minor int
	var facts Facts
	reader.each(`
SELECT account_id, position, parked, version_minor, erased_at, usage_low, user_json, team_json, usage_tail, keys_tail, sandboxes_tail,
    counted_at, messages, digest_high, digest_low, coalesce(quota_tier_id, ''), usage_pages, key_pages, sandbox_pages, waiting
FROM {schema}.account_export WHERE account_id = ANY($1)`,
		[]any{&id, &r.Position, &r.Parked, &minor, &erased, &r.UsageLow, &r.User, &r.Team, &r.Usage, &r.Keys, &r.Sandboxes,
			&countedAt, &messages, &high, &low, &facts.Tier, &facts.UsagePages, &facts.KeyPages, &facts.SandboxPages, &facts.Waiting},
		func() error {
			s := &storedSum{position: r.Position, parked: r.Parked, minor: minor, erased: erased != nil, facts: facts}
			if r.ErasedAt = nil; erased != nil {
				at := events.TimeOf(*erased)
				r.ErasedAt = &at
			}
			if countedAt != nil && uint64(*countedAt) == r.Position {
				s.recorded = Sum{Position: r.Position}.withRecorded(messages, high, low)
			}
			s.digest, s.extent = projections.DigestRow(&r), projections.ExtentOf(&r)
			out[id] = s
			return nil
		})
	var section, entity int16
	var key string
	var body pgtype.DriverBytes // valid until the next row
	reader.each(`SELECT account_id, section, page_key, body FROM {schema}.account_export_pages WHERE account_id = ANY($1)`,
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
	reader.each(`SELECT account_id, section, item, page_key FROM {schema}.account_export_items WHERE account_id = ANY($1)`,
		[]any{&id, &section, &key, &page}, func() error {
			if s := out[id]; s != nil {
				s.facts.Items += itemSum(projections.SectionKind(section), key, page)
			}
			return nil
		})
	reader.each(`SELECT account_id, entity, entity_id, patch FROM {schema}.account_waiting WHERE account_id = ANY($1)`,
		[]any{&id, &entity, &key, &body}, func() error {
			if s := out[id]; s != nil {
				s.digest = s.digest.Plus(projections.DigestWaiting(projections.EntityKind(entity), key, body))
				s.otherBytes += len(body)
			}
			return nil
		})
	var position uint64
	reader.each(`SELECT account_id, position, payload FROM {schema}.parked WHERE account_id = ANY($1)`,
		[]any{&id, &position, &body}, func() error {
			if s := out[id]; s != nil {
				s.digest = s.digest.Plus(projections.DigestParked(position, body))
				s.otherBytes += len(body)
				s.parkedAt = append(s.parkedAt, position)
			}
			return nil
		})
	if reader.err != nil {
		return nil, fmt.Errorf("sum up: %w", reader.err)
	}
	return out, nil
}

// sumReader reads until the first error.
type sumReader struct {
	ctx        context.Context
	tx         pgx.Tx
	generation int64
	ids        [][16]byte
	err        error
}

func (u *sumReader) each(sql string, into []any, do func() error) {
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

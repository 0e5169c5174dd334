package admin

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/rows"
)

// StoredAccounts is what the live generation holds of some accounts and up to where it
// has read the stream, in one snapshot.
type StoredAccounts struct {
	Stream      engine.StreamIdentity // that it was folded from
	Checkpoints map[int]uint64        // positions, by partition
	Accounts    map[events.UUID]StoredAccount
}

// CheckpointOf is the position up to which the message's partition was read.
func (h *StoredAccounts) CheckpointOf(m *projections.Message) uint64 {
	return h.Checkpoints[h.Stream.PartitionOf(m)]
}

// StoredAccount is what is stored of an account, summed up.
type StoredAccount struct {
	Position uint64
	Digest   projections.Digest // of all that is stored
	Recorded Sum                // what the row says; Messages is 0 where it says nothing
	Facts    Facts
	Parked   int // messages
	Minor    int // version that folded it last
	Erased   bool
	Bytes    int // of all that is stored, about
}

// ReadStored sums up what the live generation holds of some accounts, page by page;
// those without a row are not in it.
func ReadStored(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (h StoredAccounts, err error) {
	err = inLiveSnapshot(ctx, pool, &h, func(tx pgx.Tx, generation int64) error {
		sums, err := computeSums(ctx, tx, generation, accounts)
		h.Accounts = make(map[events.UUID]StoredAccount, len(sums))
		for id, s := range sums {
			a := StoredAccount{Position: s.position, Digest: s.digest, Recorded: s.recorded, Facts: s.facts, Parked: s.parked, Minor: s.minor, Erased: s.erased, Bytes: s.beside}
			for _, n := range s.extent.Bytes {
				a.Bytes += n
			}
			h.Accounts[id] = a
		}
		return err
	})
	if err != nil {
		return h, fmt.Errorf("sum up accounts: %w", err)
	}
	return h, nil
}

// inLiveSnapshot reads the checkpoints of the live generation, and then what else is
// wanted of the same snapshot.
func inLiveSnapshot(ctx context.Context, pool *pgxpool.Pool, h *StoredAccounts, and func(tx pgx.Tx, generation int64) error) error {
	g, err := countedLive(ctx, pool)
	if err != nil {
		return err
	}
	h.Stream, h.Checkpoints = g.Stream, map[int]uint64{}
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT partition, position FROM export.checkpoints WHERE generation = $1`, g.Number)
		if err != nil {
			return err
		}
		var partition int
		var position uint64
		if _, err := pgx.ForEachRow(rows, []any{&partition, &position}, func() error {
			h.Checkpoints[partition] = position
			return nil
		}); err != nil {
			return err
		}
		return and(tx, g.Number)
	})
}

// RandomAccount draws an account that the live generation has a row of. Blocks
// of the table are drawn, so neither the ids nor their number matter. False
// where many draws in a row found none.
func RandomAccount(ctx context.Context, pool *pgxpool.Pool) (id events.UUID, found bool, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return id, false, err
	}
	var blocks int64
	err = pool.QueryRow(ctx, readmodel.InSchema(g.Number, `
SELECT pg_relation_size('{schema}.account_export') / current_setting('block_size')::bigint`)).Scan(&blocks)
	if err != nil {
		return id, false, fmt.Errorf("draw an account: %w", err)
	}
	const draws = 50 // of blocks, in which rows may have been, or moved away from
	for range draws {
		if blocks == 0 {
			return id, false, nil
		}
		block := rand.Int64N(blocks)
		rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `SELECT account_id FROM {schema}.account_export WHERE ctid >= $1::tid AND ctid < $2::tid`),
			fmt.Sprintf("(%d,0)", block), fmt.Sprintf("(%d,0)", block+1))
		if err != nil {
			return id, false, fmt.Errorf("draw an account: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		if err != nil {
			return id, false, fmt.Errorf("draw an account: %w", err)
		}
		if len(ids) > 0 {
			return ids[rand.IntN(len(ids))], true, nil
		}
	}
	return id, false, nil
}

// Orphan is what lies beside the rows of an account that has none.
type Orphan struct {
	Account events.UUID
	Table   string
}

// Orphans lists, at most so many, what the live generation stores of accounts
// that have no row.
func Orphans(ctx context.Context, pool *pgxpool.Pool, most int) (out []Orphan, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	for _, table := range rows.AccountTables[1:] {
		found, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT DISTINCT b.account_id FROM {schema}.`+table+` b
WHERE b.account_id IS NOT NULL AND NOT EXISTS (SELECT FROM {schema}.account_export a WHERE a.account_id = b.account_id) LIMIT $1`), most-len(out))
		if err != nil {
			return nil, fmt.Errorf("look for rows beside none: %w", err)
		}
		ids, err := pgx.CollectRows(found, pgx.RowTo[[16]byte])
		if err != nil {
			return nil, fmt.Errorf("look for rows beside none: %w", err)
		}
		for _, id := range ids {
			out = append(out, Orphan{id, table})
		}
	}
	return out, nil
}

// Tier is a tier as it is stored.
type Tier struct {
	ID       string
	Position uint64
	Body     []byte
}

// ReadTiers lists the tiers of the live generation, in the order of their ids.
func ReadTiers(ctx context.Context, pool *pgxpool.Pool) (tiers []Tier, h StoredAccounts, err error) {
	err = inLiveSnapshot(ctx, pool, &h, func(tx pgx.Tx, generation int64) error {
		rows, err := tx.Query(ctx, readmodel.InSchema(generation, `SELECT id, position, body FROM {schema}.quota_tiers ORDER BY id`))
		if err == nil {
			tiers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Tier])
		}
		return err
	})
	if err != nil {
		return nil, h, fmt.Errorf("read tiers: %w", err)
	}
	return tiers, h, nil
}

// SumParkedWithoutAccount counts the parked messages that are no account's, and adds up their
// positions.
func SumParkedWithoutAccount(ctx context.Context, pool *pgxpool.Pool) (n, sum uint64, h StoredAccounts, err error) {
	err = inLiveSnapshot(ctx, pool, &h, func(tx pgx.Tx, generation int64) error {
		return tx.QueryRow(ctx, readmodel.InSchema(generation, `
SELECT count(*), coalesce(sum(position), 0)::bigint FROM {schema}.parked WHERE account_id IS NULL`)).Scan(&n, &sum)
	})
	if err != nil {
		return 0, 0, h, fmt.Errorf("count parked messages: %w", err)
	}
	return n, sum, h, nil
}

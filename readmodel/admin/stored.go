package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/rows"
)

// StoredAccounts is what the live generation holds of some accounts, and up to where it
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
	Digest   projections.Digest // of everything that is stored
	Recorded Sum                // what the row records; Messages is 0 where it records nothing
	Facts    Facts
	Parked   int // messages
	Minor    int // version that folded it last
	Erased   bool
	Bytes    int // of everything that is stored, about
}

// ReadStored sums up what the live generation holds of some accounts, page by page;
// those without a row are left out.
func ReadStored(ctx context.Context, pool *pgxpool.Pool, accounts []events.UUID) (h StoredAccounts, err error) {
	err = inLiveSnapshot(ctx, pool, &h, func(tx pgx.Tx, generation int64) error {
		sums, err := computeSums(ctx, tx, generation, accounts)
		h.Accounts = make(map[events.UUID]StoredAccount, len(sums))
		for id, s := range sums {
			a := StoredAccount{Position: s.position, Digest: s.digest, Recorded: s.recorded, Facts: s.facts, Parked: s.parked, Minor: s.minor, Erased: s.erased, Bytes: s.otherBytes}
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

// inLiveSnapshot reads the checkpoints of the live generation, and calls and to read
// what else is wanted of the same snapshot.
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

// SumParkedWithoutAccount counts the parked messages of no account, and adds up
// their positions.
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

// Orphan is an account without a row, of which another table has rows.
type Orphan struct {
	Account events.UUID
	Table   string
}

// Orphans lists, at most so many, what the live generation stores of accounts
// that have no row.
func Orphans(ctx context.Context, pool *pgxpool.Pool, limit int) (out []Orphan, err error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err != nil {
		return nil, err
	}
	for _, table := range rows.AccountTables[1:] {
		found, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT DISTINCT b.account_id FROM {schema}.`+table+` b
WHERE b.account_id IS NOT NULL AND NOT EXISTS (SELECT FROM {schema}.account_export a WHERE a.account_id = b.account_id) LIMIT $1`), limit-len(out))
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

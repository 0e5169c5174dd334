package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/rows"
)

// Sum is what went into an account's row, and the digest of what is stored of
// the account.
type Sum struct {
	Position uint64
	Messages uint64 // consumed for the account; 0 where the row does not say, and then Digest says nothing
	Digest   projections.Digest
}

// AddChange adds what a flush of the account says of it.
func (s *Sum) AddChange(c *projections.Change) {
	s.Position = c.Row.Position
	if c.New || c.Replaces { // then the change is everything that is stored
		s.Messages, s.Digest = c.Messages, c.Digest
	} else {
		s.Messages, s.Digest = s.Messages+c.Messages, s.Digest.Plus(c.Digest)
	}
}

// withRecorded is the sum with what a row records.
func (s Sum) withRecorded(messages, high, low *int64) Sum {
	if messages != nil && high != nil && low != nil {
		s.Messages, s.Digest = uint64(*messages), projections.Digest{uint64(*high), uint64(*low)}
	}
	return s
}

// ReadSums reads what the live generation's rows record; accounts never heard of are
// left out.
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
		out[id] = Sum{Position: position}.withRecorded(messages, high, low)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	return out, nil
}

// countedLive is the live generation, whose rows have columns for a message count.
func countedLive(ctx context.Context, pool *pgxpool.Pool) (readmodel.Generation, error) {
	g, err := readmodel.LiveGeneration(ctx, pool)
	if err == nil {
		err = readmodel.EnsureCountColumns(ctx, pool, g)
	}
	return g, err
}

// RecordSums has rows of the live generation record what a fold of their accounts'
// messages has found, where they record nothing, are at the fold's position, and
// everything that is stored has the fold's digest. It returns the accounts of which
// something else is stored.
func RecordSums(ctx context.Context, pool *pgxpool.Pool, folded map[events.UUID]Sum) (different []events.UUID, err error) {
	g, err := countedLive(ctx, pool)
	if err != nil {
		return nil, err
	}
	var ids []events.UUID
	for id := range folded {
		ids = append(ids, id)
	}
	sortAccounts(ids)
	for chunk := range slices.Chunk(ids, rows.AccountsPerStatement) {
		chunkDifferent, err := recordChunk(ctx, pool, g.Number, chunk, folded)
		if err != nil {
			return nil, fmt.Errorf("note counts: %w", err)
		}
		different = append(different, chunkDifferent...)
	}
	return different, nil
}

func recordChunk(ctx context.Context, pool *pgxpool.Pool, generation int64, ids []events.UUID, folded map[events.UUID]Sum) (different []events.UUID, err error) {
	var sums map[events.UUID]*storedSum
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		sums, err = computeSums(ctx, tx, generation, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	var equal []events.UUID
	var positions, messages, high, low []int64
	for _, id := range ids {
		fold, stored := folded[id], sums[id]
		switch {
		case stored == nil, stored.position != fold.Position, stored.recorded.Messages > 0:
		case stored.digest != fold.Digest:
			different = append(different, id)
		default:
			equal = append(equal, id)
			positions, messages = append(positions, int64(fold.Position)), append(messages, int64(fold.Messages))
			high, low = append(high, int64(fold.Digest[0])), append(low, int64(fold.Digest[1]))
		}
	}
	if equal == nil {
		return different, nil
	}
	// What is stored of an account does not change while its row is at a position. A row
	// that is being written is left to a later call.
	_, err = pool.Exec(ctx, readmodel.InSchema(generation, `
WITH found AS (SELECT u.* FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS u (id, position, messages, high, low)),
mine AS (
    SELECT f.* FROM {schema}.account_export a JOIN found f ON a.account_id = f.id
    WHERE a.account_id = ANY($1) AND a.position = f.position AND a.counted_at IS DISTINCT FROM a.position
    ORDER BY a.account_id FOR NO KEY UPDATE OF a SKIP LOCKED)
UPDATE {schema}.account_export a SET counted_at = m.position, messages = m.messages, digest_high = m.high, digest_low = m.low
FROM mine m WHERE a.account_id = m.id AND a.account_id = ANY($1)`), uuids(equal), positions, messages, high, low)
	return different, err
}

package document

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Read reads an account's document with its tier. Without either it fails with
// pgx.ErrNoRows.
func Read(ctx context.Context, pool *pgxpool.Pool, account string) (doc []byte, err error) {
	err = pool.QueryRow(ctx, `
SELECT (d.document || jsonb_build_object('quota_tier', t.tier))::text FROM documents d JOIN tiers t ON t.id = d.document->'team'->>'quota_tier_id'
WHERE d.account_id = $1`, account).Scan(&doc)
	return doc, err
}

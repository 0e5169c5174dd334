package normalised

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A query has an account's id as $1, and gives what is one member of the document.
const (
	users = `SELECT account_id AS id, email, tier, quota_tier_id, is_operator, created_at, updated_at, name, display_name, avatar_url,
email_verified_at, soft_deleted_at, delete_scheduled_at, abuse_flags FROM users WHERE account_id = $1`
	teams = `SELECT id, name, slug, owner_user_id, quota_tier_id, created_at, updated_at, soft_deleted_at FROM teams WHERE account_id = $1`
	tiers = `SELECT id, display_name, max_concurrent_sandboxes, daily_sandbox_creates, daily_gb_hours FROM tiers
WHERE id = (SELECT quota_tier_id FROM teams WHERE account_id = $1)`
	usage = `SELECT team_id, usage_date, sandbox_creates, gb_hours, updated_at FROM usage WHERE account_id = $1 ORDER BY usage_date, team_id`
	keys  = `SELECT id, account_id AS user_id, team_id, key_prefix, name, is_active, created_at, last_used_at, scope, revoked_at, expires_at,
rotation_parent_key_id FROM api_keys WHERE account_id = $1 ORDER BY position`
	sandboxes = `SELECT id, template, status, metadata, started_at, destroyed_at, created_at, updated_at FROM sandboxes WHERE account_id = $1 ORDER BY position`
)

const oneStatement = `SELECT json_build_object(
'user', (SELECT row_to_json(x) FROM (` + users + `) x),
'team', (SELECT row_to_json(x) FROM (` + teams + `) x),
'quota_tier', (SELECT row_to_json(x) FROM (` + tiers + `) x),
'quota_usage', (SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM (` + usage + `) x),
'api_keys', (SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM (` + keys + `) x),
'sandboxes', (SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM (` + sandboxes + `) x))::text
WHERE EXISTS (SELECT FROM users WHERE account_id = $1)`

// ReadByOneStatement lets PostgreSQL make the document. Without the account it fails
// with [pgx.ErrNoRows].
func ReadByOneStatement(ctx context.Context, pool *pgxpool.Pool, account string) (doc []byte, err error) {
	err = pool.QueryRow(ctx, oneStatement, account).Scan(&doc)
	return doc, err
}

// ReadBySixQueries makes the document of the rows of six queries, which see one snapshot
// and are sent together. Without the account it fails with [pgx.ErrNoRows].
func ReadBySixQueries(ctx context.Context, pool *pgxpool.Pool, account string) (doc []byte, err error) {
	var d document
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		one(b, users, account, &d.User)
		one(b, teams, account, &d.Team)
		one(b, tiers, account, &d.QuotaTier)
		all(b, usage, account, &d.QuotaUsage)
		all(b, keys, account, &d.APIKeys)
		all(b, sandboxes, account, &d.Sandboxes)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

func one[T any](b *pgx.Batch, sql, account string, to *T) {
	b.Queue(sql, account).Query(func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
		return err
	})
}

func all[T any](b *pgx.Batch, sql, account string, to *[]T) {
	b.Queue(sql, account).Query(func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		if *to == nil {
			*to = []T{}
		}
		return err
	})
}

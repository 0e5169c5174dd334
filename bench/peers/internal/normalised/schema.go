// Package normalised keeps accounts in six tables, and a checkpoint beside them.
package normalised

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

const schema = `
CREATE TABLE IF NOT EXISTS users (
    account_id uuid PRIMARY KEY, email text NOT NULL, tier text NOT NULL, quota_tier_id text NOT NULL, is_operator boolean NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, name text, display_name text, avatar_url text,
    email_verified_at timestamptz, soft_deleted_at timestamptz, delete_scheduled_at timestamptz, abuse_flags jsonb NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS teams (
    account_id uuid PRIMARY KEY, id uuid NOT NULL, name text NOT NULL, slug text NOT NULL, owner_user_id uuid NOT NULL,
    quota_tier_id text NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, soft_deleted_at timestamptz);
CREATE TABLE IF NOT EXISTS tiers (
    id text PRIMARY KEY, display_name text NOT NULL, max_concurrent_sandboxes bigint NOT NULL, daily_sandbox_creates bigint NOT NULL,
    daily_gb_hours numeric NOT NULL);
CREATE TABLE IF NOT EXISTS usage (
    account_id uuid, usage_date date, team_id uuid, sandbox_creates bigint NOT NULL, gb_hours numeric NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, usage_date, team_id));
CREATE TABLE IF NOT EXISTS api_keys (
    account_id uuid, id uuid, position bigint NOT NULL, team_id uuid NOT NULL, key_prefix text NOT NULL, name text NOT NULL,
    is_active boolean NOT NULL, created_at timestamptz NOT NULL, last_used_at timestamptz, scope text NOT NULL, revoked_at timestamptz,
    expires_at timestamptz, rotation_parent_key_id uuid, PRIMARY KEY (account_id, id));
CREATE TABLE IF NOT EXISTS sandboxes (
    account_id uuid, id text, position bigint NOT NULL, template text NOT NULL, status text NOT NULL, metadata jsonb NOT NULL,
    started_at timestamptz, destroyed_at timestamptz, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, id));
CREATE TABLE IF NOT EXISTS checkpoint (one boolean PRIMARY KEY DEFAULT true CHECK (one), position bigint NOT NULL);
INSERT INTO checkpoint (position) VALUES (0) ON CONFLICT DO NOTHING`

// Open connects to a database, and makes the tables that are missing.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("making the tables: %w", err)
	}
	return pool, nil
}

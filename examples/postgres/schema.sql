-- A toy control plane: what it holds of its users, in six tables.

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := greatest(clock_timestamp(), OLD.updated_at);
    RETURN NEW;
END
$$;

CREATE TABLE quota_tiers (
    id                       text PRIMARY KEY,
    display_name             text NOT NULL,
    max_concurrent_sandboxes integer NOT NULL,
    daily_sandbox_creates    integer NOT NULL,
    daily_gb_hours           numeric(18, 6) NOT NULL
);

CREATE TABLE users (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email               text NOT NULL,
    tier                text NOT NULL,
    quota_tier_id       text NOT NULL REFERENCES quota_tiers,
    is_operator         boolean NOT NULL DEFAULT false,
    name                text,
    display_name        text,
    avatar_url          text,
    email_verified_at   timestamptz,
    soft_deleted_at     timestamptz,
    delete_scheduled_at timestamptz,
    abuse_flags         jsonb NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Each user has one team.
CREATE TABLE teams (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    account_id      uuid NOT NULL UNIQUE REFERENCES users,
    name            text NOT NULL,
    slug            text NOT NULL,
    owner_user_id   uuid NOT NULL REFERENCES users,
    quota_tier_id   text NOT NULL REFERENCES quota_tiers,
    soft_deleted_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE quota_usage (
    team_id         uuid NOT NULL REFERENCES teams,
    usage_date      date NOT NULL,
    sandbox_creates bigint NOT NULL DEFAULT 0,
    gb_hours        numeric(18, 6) NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, usage_date)
);

CREATE TABLE api_keys (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id                uuid NOT NULL REFERENCES users,
    team_id                uuid NOT NULL REFERENCES teams,
    key_prefix             text NOT NULL,
    name                   text NOT NULL,
    scope                  text NOT NULL,
    is_active              boolean NOT NULL DEFAULT true,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at           timestamptz,
    revoked_at             timestamptz,
    expires_at             timestamptz,
    rotation_parent_key_id uuid
);

CREATE TABLE sandboxes (
    id           text PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users,
    template     text NOT NULL,
    status       text NOT NULL DEFAULT 'pending',
    metadata     jsonb NOT NULL DEFAULT '{}',
    started_at   timestamptz,
    destroyed_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON quota_usage FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE UPDATE ON sandboxes FOR EACH ROW EXECUTE FUNCTION touch();

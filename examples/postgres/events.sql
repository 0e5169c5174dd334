-- The rows of the toy control plane as events: what makes a row that is there, for new
-- rows and for the snapshot, and what changes one. From the moment this is committed,
-- each change of a row writes its events in its own transaction, into the outbox.

-- When snapshot.sql has read the tables, and who did that.
CREATE TABLE snapshots (
    taken_at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    taken_by text NOT NULL DEFAULT session_user
);

CREATE FUNCTION event_time(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

CREATE FUNCTION account_subject(account uuid) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'controlplane.account.' || account;

-- A CloudEvent, of which outbox.write fills in what is missing.
CREATE FUNCTION event(type text, at timestamptz, data jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('type', 'controlplane.' || type || '.v1', 'source', '/toy-control-plane', 'time', event_time(at), 'data', data);

-- What makes a row, in the order of step. The last event of a user, a team or a sandbox
-- is at its updated_at, since each sets that.

CREATE FUNCTION events_of(t quota_tiers) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('quota_tier.defined', now(), to_jsonb(t))
$$;

CREATE FUNCTION events_of(u users) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('user.registered', u.created_at, jsonb_build_object('email', u.email, 'tier', u.tier, 'quota_tier_id', u.quota_tier_id,
        'is_operator', u.is_operator, 'name', u.name, 'display_name', u.display_name, 'avatar_url', u.avatar_url))
    UNION ALL SELECT 2, event('user.email_verified', u.email_verified_at, '{}') WHERE u.email_verified_at IS NOT NULL
    UNION ALL SELECT 3, event('user.abuse_flags_changed', u.updated_at, jsonb_build_object('flags', u.abuse_flags)) WHERE u.abuse_flags <> '{}'
    UNION ALL SELECT 4, event('user.soft_deleted', u.soft_deleted_at, '{}') WHERE u.soft_deleted_at IS NOT NULL
    UNION ALL SELECT 5, event('user.deletion_scheduled', u.updated_at, jsonb_build_object('delete_scheduled_at', event_time(u.delete_scheduled_at)))
        WHERE u.delete_scheduled_at IS NOT NULL
    UNION ALL SELECT 6, event('user.profile_updated', u.updated_at, '{}') WHERE u.updated_at > u.created_at
$$;

CREATE FUNCTION events_of(t teams) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('team.created', t.created_at, jsonb_build_object('id', t.id, 'name', t.name, 'slug', t.slug,
        'owner_user_id', t.owner_user_id, 'quota_tier_id', t.quota_tier_id))
    UNION ALL SELECT 2, event('team.soft_deleted', t.soft_deleted_at, jsonb_build_object('id', t.id)) WHERE t.soft_deleted_at IS NOT NULL
    UNION ALL SELECT 3, event('team.updated', t.updated_at, jsonb_build_object('id', t.id)) WHERE t.updated_at > t.created_at
$$;

CREATE FUNCTION events_of(q quota_usage) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('quota_usage.recorded', q.updated_at, to_jsonb(q) - 'updated_at')
$$;

CREATE FUNCTION events_of(k api_keys) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('api_key.created', k.created_at, jsonb_build_object('id', k.id, 'team_id', k.team_id, 'key_prefix', k.key_prefix, 'name', k.name,
        'scope', k.scope, 'expires_at', event_time(k.expires_at), 'rotation_parent_key_id', k.rotation_parent_key_id))
    UNION ALL SELECT 2, event('api_key.used', k.last_used_at, jsonb_build_object('id', k.id)) WHERE k.last_used_at IS NOT NULL
    UNION ALL SELECT 3, event('api_key.revoked', k.revoked_at, jsonb_build_object('id', k.id)) WHERE k.revoked_at IS NOT NULL
    UNION ALL SELECT 4, event('api_key.updated', now(), jsonb_build_object('id', k.id, 'is_active', k.is_active)) WHERE k.is_active = (k.revoked_at IS NOT NULL)
$$;

CREATE FUNCTION events_of(s sandboxes) RETURNS TABLE (step integer, event jsonb) LANGUAGE sql AS $$
    SELECT 1, event('sandbox.created', s.created_at, jsonb_build_object('id', s.id, 'template', s.template, 'metadata', s.metadata))
    UNION ALL SELECT 2, event('sandbox.started', s.started_at, jsonb_build_object('id', s.id)) WHERE s.started_at IS NOT NULL
    UNION ALL SELECT 3, event('sandbox.destroyed', s.destroyed_at, jsonb_build_object('id', s.id)) WHERE s.destroyed_at IS NOT NULL
    UNION ALL SELECT 4, event('sandbox.status_changed', s.updated_at, jsonb_build_object('id', s.id, 'status', s.status))
        WHERE s.updated_at > s.created_at OR s.status <> 'pending'
$$;

-- What changes a row. Each function gives the events that make the new row of the old.

CREATE FUNCTION changes_of(o quota_tiers, n quota_tiers) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT event FROM events_of(n)
$$;

CREATE FUNCTION changes_of(o users, n users) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT event('user.email_changed', n.updated_at, jsonb_build_object('email', n.email)) WHERE n.email <> o.email
    UNION ALL SELECT event('user.email_verified', n.email_verified_at, '{}')
        WHERE n.email_verified_at IS NOT NULL AND (n.email_verified_at IS DISTINCT FROM o.email_verified_at OR n.email <> o.email)
    UNION ALL SELECT event('user.tier_changed', n.updated_at, jsonb_build_object('tier', n.tier, 'quota_tier_id', n.quota_tier_id))
        WHERE (n.tier, n.quota_tier_id) <> (o.tier, o.quota_tier_id)
    UNION ALL SELECT event('user.operator_changed', n.updated_at, jsonb_build_object('is_operator', n.is_operator)) WHERE n.is_operator <> o.is_operator
    UNION ALL SELECT event('user.abuse_flags_changed', n.updated_at, jsonb_build_object('flags',
            (SELECT coalesce(jsonb_object_agg(key, 'null'::jsonb), '{}') FROM jsonb_object_keys(o.abuse_flags) key WHERE NOT n.abuse_flags ? key) ||
            (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(n.abuse_flags) WHERE value IS DISTINCT FROM o.abuse_flags -> key)))
        WHERE n.abuse_flags <> o.abuse_flags
    UNION ALL SELECT event('user.restored', n.updated_at, '{}') WHERE n.soft_deleted_at IS NULL AND o.soft_deleted_at IS NOT NULL
    UNION ALL SELECT event('user.soft_deleted', n.soft_deleted_at, '{}') WHERE n.soft_deleted_at IS DISTINCT FROM o.soft_deleted_at AND n.soft_deleted_at IS NOT NULL
    UNION ALL SELECT event('user.deletion_cancelled', n.updated_at, '{}') WHERE n.delete_scheduled_at IS NULL AND o.delete_scheduled_at IS NOT NULL
    UNION ALL SELECT event('user.deletion_scheduled', n.updated_at, jsonb_build_object('delete_scheduled_at', event_time(n.delete_scheduled_at)))
        WHERE n.delete_scheduled_at IS NOT NULL
            AND (n.delete_scheduled_at IS DISTINCT FROM o.delete_scheduled_at OR n.soft_deleted_at IS NULL AND o.soft_deleted_at IS NOT NULL)
    UNION ALL SELECT event('user.profile_updated', n.updated_at, jsonb_build_object('name', n.name, 'display_name', n.display_name, 'avatar_url', n.avatar_url))
$$;

CREATE FUNCTION changes_of(o teams, n teams) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT event('team.owner_changed', n.updated_at, jsonb_build_object('id', n.id, 'owner_user_id', n.owner_user_id))
        WHERE n.owner_user_id IS DISTINCT FROM o.owner_user_id
    UNION ALL SELECT event('team.quota_tier_changed', n.updated_at, jsonb_build_object('id', n.id, 'quota_tier_id', n.quota_tier_id))
        WHERE n.quota_tier_id <> o.quota_tier_id
    UNION ALL SELECT event('team.soft_deleted', n.soft_deleted_at, jsonb_build_object('id', n.id))
        WHERE n.soft_deleted_at IS DISTINCT FROM o.soft_deleted_at AND n.soft_deleted_at IS NOT NULL
    UNION ALL SELECT event('team.restored', n.updated_at, jsonb_build_object('id', n.id)) WHERE n.soft_deleted_at IS NULL AND o.soft_deleted_at IS NOT NULL
    UNION ALL SELECT event('team.updated', n.updated_at, jsonb_build_object('id', n.id, 'name', n.name, 'slug', n.slug))
$$;

-- Usage that grows is told as what it grows by.
CREATE FUNCTION changes_of(o quota_usage, n quota_usage) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN n.sandbox_creates >= o.sandbox_creates AND n.gb_hours >= o.gb_hours
        THEN event('quota_usage.incremented', n.updated_at, jsonb_build_object('team_id', n.team_id, 'usage_date', n.usage_date,
            'sandbox_creates', n.sandbox_creates - o.sandbox_creates, 'gb_hours', n.gb_hours - o.gb_hours))
        ELSE event('quota_usage.recorded', n.updated_at, to_jsonb(n) - 'updated_at') END
$$;

CREATE FUNCTION changes_of(o api_keys, n api_keys) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT event('api_key.used', n.last_used_at, jsonb_build_object('id', n.id)) WHERE n.last_used_at IS DISTINCT FROM o.last_used_at AND n.last_used_at IS NOT NULL
    UNION ALL SELECT event('api_key.revoked', n.revoked_at, jsonb_build_object('id', n.id)) WHERE n.revoked_at IS DISTINCT FROM o.revoked_at AND n.revoked_at IS NOT NULL
    UNION ALL SELECT event('api_key.updated', clock_timestamp(), jsonb_build_object('id', n.id, 'name', n.name, 'scope', n.scope,
        'expires_at', event_time(n.expires_at), 'is_active', n.is_active))
        WHERE (n.name, n.scope, n.expires_at, n.is_active) IS DISTINCT FROM (o.name, o.scope, o.expires_at, o.is_active)
$$;

CREATE FUNCTION changes_of(o sandboxes, n sandboxes) RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT event('sandbox.started', n.started_at, jsonb_build_object('id', n.id)) WHERE n.started_at IS DISTINCT FROM o.started_at AND n.started_at IS NOT NULL
    UNION ALL SELECT event('sandbox.destroyed', n.destroyed_at, jsonb_build_object('id', n.id))
        WHERE n.destroyed_at IS DISTINCT FROM o.destroyed_at AND n.destroyed_at IS NOT NULL
    UNION ALL SELECT event('sandbox.metadata_updated', n.updated_at, jsonb_build_object('id', n.id, 'metadata', n.metadata)) WHERE n.metadata <> o.metadata
    UNION ALL SELECT event('sandbox.status_changed', n.updated_at, jsonb_build_object('id', n.id, 'status', n.status))
$$;

-- Whose events a row's are.

CREATE FUNCTION subject_of(t quota_tiers) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'controlplane.quota_tier.' || t.id $$;
CREATE FUNCTION subject_of(u users) RETURNS text LANGUAGE sql STABLE AS $$ SELECT account_subject(u.id) $$;
CREATE FUNCTION subject_of(t teams) RETURNS text LANGUAGE sql STABLE AS $$ SELECT account_subject(t.account_id) $$;
CREATE FUNCTION subject_of(q quota_usage) RETURNS text LANGUAGE sql STABLE AS $$ SELECT account_subject(account_id) FROM teams WHERE id = q.team_id $$;
CREATE FUNCTION subject_of(k api_keys) RETURNS text LANGUAGE sql STABLE AS $$ SELECT account_subject(k.user_id) $$;
CREATE FUNCTION subject_of(s sandboxes) RETURNS text LANGUAGE sql STABLE AS $$ SELECT account_subject(s.user_id) $$;

-- The triggers, the same for each table. The events of a subject are in the order in
-- which they are written.
DO $do$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['quota_tiers', 'users', 'teams', 'quota_usage', 'api_keys', 'sandboxes'] LOOP
        EXECUTE format($sql$
            CREATE FUNCTION write_events_of_%1$s() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'INSERT' THEN
                    PERFORM outbox.write(subject_of(NEW), e.event) FROM (SELECT event FROM events_of(NEW) ORDER BY step) e;
                ELSE
                    PERFORM outbox.write(subject_of(NEW), e.event) FROM changes_of(OLD, NEW) e (event);
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER write_events AFTER INSERT OR UPDATE ON %1$s FOR EACH ROW EXECUTE FUNCTION write_events_of_%1$s();
        $sql$, name);
    END LOOP;
END
$do$;

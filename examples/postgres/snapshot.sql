-- All that the control plane holds, as events, a line each: the input of `projector
-- import`. It is one moment of the database. What the outbox holds of before that moment
-- is in the tables, too, and is removed; what comes after it stays in the outbox.
-- It changes nothing else, and may be repeated until it is imported.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
\set FETCH_COUNT 10000

BEGIN ISOLATION LEVEL REPEATABLE READ;

DO $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(122550254464888) OR EXISTS (SELECT FROM outbox.relay WHERE stream_name IS NOT NULL) THEN
        RAISE EXCEPTION 'a relay has published from this outbox: a snapshot would tell a second time what it has told already';
    END IF;
END
$$;

SELECT jsonb_build_object('specversion', '1.0', 'id', 'snapshot-' || kind || '-' || key || '-' || step, 'partitionkey', substring(subject FROM '[^.]*$'),
    'datacontenttype', 'application/json') || event
FROM (
    SELECT 1 AS kind, t.id AS key, subject_of(t) AS subject, e.* FROM quota_tiers t, events_of(t) e
    UNION ALL SELECT 2, u.id::text, subject_of(u), e.* FROM users u, events_of(u) e
    UNION ALL SELECT 3, t.id::text, subject_of(t), e.* FROM teams t, events_of(t) e
    UNION ALL SELECT 4, q.team_id || '-' || q.usage_date, subject_of(q), e.* FROM quota_usage q, events_of(q) e
    UNION ALL SELECT 5, k.id::text, subject_of(k), e.* FROM api_keys k, events_of(k) e
    UNION ALL SELECT 6, s.id, subject_of(s), e.* FROM sandboxes s, events_of(s) e
) told
ORDER BY subject, event ->> 'time', kind, key, step;

DELETE FROM outbox.messages;
COMMIT;

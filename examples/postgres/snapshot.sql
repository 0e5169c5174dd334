-- All that the control plane holds, as events, a line each: the input of `projector
-- import`. It is one moment of the database. What the outbox holds of before that moment
-- is in the tables, too, and is removed; what comes after it stays in the outbox.
--
-- It is taken once, and notes that in the table snapshots. Once it is imported, another
-- one would remove changes from the outbox that the imported file lacks, so a second is
-- refused. Only where the file was never imported, not in part either, may it be taken
-- anew: with --set again=yes. Where it fails, nothing has changed.

\set ON_ERROR_STOP on
\set QUIET on
\pset tuples_only on
\pset format unaligned
\set FETCH_COUNT 10000
\if :{?again}
\else
    \set again no
\endif
\if :{?nothing_published}
\else
    \set nothing_published no
\endif

-- The relay's lock, for as long as this session lasts. It comes before the transaction,
-- which so sees whatever was noted by those that had it.
SELECT pg_try_advisory_lock(122550254464888) AS alone \gset
SELECT set_config('snapshot.alone', :'alone', false) AS alone, set_config('snapshot.again', :'again', false) AS again,
    set_config('snapshot.nothing_published', :'nothing_published', false) AS nothing_published \gset

BEGIN ISOLATION LEVEL REPEATABLE READ;

DO $$
DECLARE
    taken timestamptz := (SELECT max(taken_at) FROM snapshots);
    relay outbox.relay := (SELECT r FROM outbox.relay r);
BEGIN
    IF NOT current_setting('snapshot.alone')::boolean THEN
        RAISE EXCEPTION 'a relay of this outbox runs, or another snapshot is being taken: end it first';
    END IF;
    IF relay.last_at IS NOT NULL THEN
        RAISE EXCEPTION 'a relay has published from this outbox: a snapshot would tell a second time what it has told already';
    END IF;
    -- What was sent is noted once it is acknowledged. A relay that was killed in between
    -- has noted the stream alone, and so has one that had nothing to send. Where no event
    -- was ever written there was nothing.
    IF relay.stream_name IS NOT NULL AND EXISTS (SELECT FROM outbox.subjects) AND NOT current_setting('snapshot.nothing_published')::boolean THEN
        RAISE EXCEPTION 'a relay has run on this outbox, and may have published of it without noting that; nothing was noted'
            USING HINT = format('Look into stream %s. Only where it holds no event from this outbox, take the snapshot with --set nothing_published=yes.', relay.stream_name);
    END IF;
    IF taken IS NOT NULL AND NOT current_setting('snapshot.again')::boolean THEN
        RAISE EXCEPTION 'a snapshot was taken already, at %: another one would remove from the outbox what has changed since, which the file of the first lacks', taken
            USING HINT = 'Only where that file was never imported, not in part either, take it anew with --set again=yes, and throw the file away.';
    END IF;
END
$$;

INSERT INTO snapshots DEFAULT VALUES;

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

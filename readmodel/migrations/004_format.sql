-- Storage format of a generation: 1 is what came before; in 2 every row counts
-- its messages and holds a digest of what is stored. A program of before, which
-- names no format, makes generations in format 1.

-- Readers of these tables do not wait behind this for longer than that.
SET LOCAL lock_timeout = '100ms';

ALTER TABLE export.generations ADD COLUMN format integer NOT NULL DEFAULT 1;
ALTER TABLE export.members ADD COLUMN format integer NOT NULL DEFAULT 1; -- the latest that it writes

-- As before, by a program that says which format it writes.
CREATE FUNCTION export.advance(
    of_generation bigint, partitions integer[], froms bigint[], tos bigint[], epochs bigint[], as_ofs timestamptz[],
    applieds bigint[], duplicates bigint[], deferreds bigint[], ignoreds bigint[], parkeds bigint[], writes integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
    kept record;
BEGIN
    UPDATE export.checkpoints c
    SET position = u.t, as_of = u.a, applied = c.applied + u.n1, duplicate = c.duplicate + u.n2,
        deferred = c.deferred + u.n3, ignored = c.ignored + u.n4, parked = c.parked + u.n5
    FROM unnest(partitions, froms, tos, epochs, as_ofs, applieds, duplicates, deferreds, ignoreds, parkeds)
        AS u (p, f, t, e, a, n1, n2, n3, n4, n5)
    WHERE c.generation = of_generation AND c.partition = u.p AND c.position = u.f AND c.epoch = u.e;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(partitions) THEN
        RAISE EXCEPTION 'fenced: % of % partitions of generation % are where their owner left them',
            moved, cardinality(partitions), of_generation USING ERRCODE = 'AE001';
    END IF;
    -- After the update, which may have waited for a cut-over to end: a projector
    -- notices with its next commit.
    SELECT state, format INTO kept FROM export.generations WHERE generation = of_generation;
    IF kept.state IS NULL OR kept.state NOT IN ('live', 'building') THEN
        RAISE EXCEPTION 'fenced: generation % is no longer projected', of_generation USING ERRCODE = 'AE001';
    END IF;
    IF kept.format > writes THEN
        RAISE EXCEPTION 'generation % is in storage format %, and this program writes %: run the newer program',
            of_generation, kept.format, writes USING ERRCODE = 'AE002';
    END IF;
    -- Wakes who waits for a position, once this is committed.
    NOTIFY export_checkpoints;
END
$$;

-- As a program of before calls it.
CREATE OR REPLACE FUNCTION export.advance(
    of_generation bigint, partitions integer[], froms bigint[], tos bigint[], epochs bigint[], as_ofs timestamptz[],
    applieds bigint[], duplicates bigint[], deferreds bigint[], ignoreds bigint[], parkeds bigint[]
) RETURNS void LANGUAGE sql AS $$
    SELECT export.advance(of_generation, partitions, froms, tos, epochs, as_ofs, applieds, duplicates, deferreds, ignoreds, parkeds, 1)
$$;

-- A projector that cannot write the live generation does not become a member:
-- it would hold partitions and not move them.
CREATE FUNCTION export.refuse_older_member() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    live record;
BEGIN
    SELECT generation, format INTO live FROM export.generations WHERE state = 'live';
    IF live.format > NEW.format THEN
        RAISE EXCEPTION 'generation % is in storage format %, and this program writes %: run the newer program',
            live.generation, live.format, NEW.format USING ERRCODE = 'AE002';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER refuse_older_member BEFORE INSERT ON export.members
    FOR EACH ROW EXECUTE FUNCTION export.refuse_older_member();

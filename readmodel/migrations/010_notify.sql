-- Moves checkpoints on as export.advance does, and tells nobody: NOTIFY holds a
-- lock of the whole server until the commit is on disk, so that one commit waits
-- for the other. Who calls this notifies afterwards.
CREATE FUNCTION export.advance_checkpoints(
    of_generation bigint, partitions integer[], froms bigint[], tos bigint[], epochs bigint[], as_ofs timestamptz[],
    applieds bigint[], duplicates bigint[], deferreds bigint[], ignoreds bigint[], parkeds bigint[],
    last_positions bigint[], last_ats timestamptz[], last_digests bytea[], writes integer
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
    kept record;
BEGIN
    UPDATE export.checkpoints c
    SET position = u.t, as_of = u.a, applied = c.applied + u.n1, duplicate = c.duplicate + u.n2,
        deferred = c.deferred + u.n3, ignored = c.ignored + u.n4, parked = c.parked + u.n5,
        last_position = coalesce(u.lp, c.last_position),
        last_at = CASE WHEN u.lp IS NULL THEN c.last_at ELSE u.la END,
        last_digest = CASE WHEN u.lp IS NULL THEN c.last_digest ELSE u.ld END
    FROM unnest(partitions, froms, tos, epochs, as_ofs, applieds, duplicates, deferreds, ignoreds, parkeds,
            last_positions, last_ats, last_digests)
        AS u (p, f, t, e, a, n1, n2, n3, n4, n5, lp, la, ld)
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
END
$$;

-- What older projectors call, which notify nobody themselves.
CREATE OR REPLACE FUNCTION export.advance(
    of_generation bigint, partitions integer[], froms bigint[], tos bigint[], epochs bigint[], as_ofs timestamptz[],
    applieds bigint[], duplicates bigint[], deferreds bigint[], ignoreds bigint[], parkeds bigint[],
    last_positions bigint[], last_ats timestamptz[], last_digests bytea[], writes integer
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM export.advance_checkpoints(of_generation, partitions, froms, tos, epochs, as_ofs, applieds, duplicates, deferreds, ignoreds,
        parkeds, last_positions, last_ats, last_digests, writes);
    NOTIFY export_checkpoints;
END
$$;

-- A generation that is neither live nor being built takes no more batches, so
-- that a projector notices a cut-over with its next commit.
CREATE OR REPLACE FUNCTION export.advance(
    of_generation bigint, partitions integer[], froms bigint[], tos bigint[], epochs bigint[], as_ofs timestamptz[],
    applieds bigint[], duplicates bigint[], deferreds bigint[], ignoreds bigint[], parkeds bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved integer;
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
    -- After the update, which may have waited for a cut-over to end.
    IF NOT EXISTS (SELECT FROM export.generations WHERE generation = of_generation AND state IN ('live', 'building')) THEN
        RAISE EXCEPTION 'fenced: generation % is no longer projected', of_generation USING ERRCODE = 'AE001';
    END IF;
END
$$;

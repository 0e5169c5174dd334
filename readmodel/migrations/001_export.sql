-- The parts of the read model that all generations share. Generations have a
-- schema of their own each, see ../generation.sql.

CREATE TABLE export.generations (
    generation     bigint PRIMARY KEY,
    state          text NOT NULL CHECK (state IN ('building', 'live', 'retired', 'failed')),
    version_major  integer NOT NULL,          -- projection version that folds it
    version_minor  integer NOT NULL,
    stream_name    text NOT NULL,             -- identity of the stream it was folded from
    stream_created timestamptz NOT NULL,
    refolded_minor integer NOT NULL,          -- what had been parked was tried by this minor version
    partitions     integer NOT NULL CHECK (partitions > 0),
    started_at     timestamptz NOT NULL DEFAULT now(),
    finished_at    timestamptz
);

CREATE UNIQUE INDEX generations_one_live ON export.generations ((true)) WHERE state = 'live';

-- One row for each partition of each generation; a batch moves it on in the
-- transaction that writes the documents.
CREATE TABLE export.checkpoints (
    generation bigint NOT NULL REFERENCES export.generations ON DELETE CASCADE,
    partition  integer NOT NULL,
    position   bigint NOT NULL DEFAULT 0,     -- every message up to here is in
    epoch      bigint NOT NULL DEFAULT 0,     -- goes up with every change of owner
    as_of      timestamptz NOT NULL DEFAULT 'epoch', -- all the stream held at this time is in
    applied    bigint NOT NULL DEFAULT 0,     -- messages by outcome since the generation began
    duplicate  bigint NOT NULL DEFAULT 0,
    deferred   bigint NOT NULL DEFAULT 0,
    ignored    bigint NOT NULL DEFAULT 0,
    parked     bigint NOT NULL DEFAULT 0,
    owner      text,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 25); -- room for updates in place: no index holds what changes

-- Parked messages whose meaning was published anew: they stay parked, and no
-- longer count. They are told by the stream and the position, so that every
-- generation knows them.
CREATE TABLE export.dismissals (
    stream_name    text NOT NULL,
    stream_created timestamptz NOT NULL,
    position       bigint NOT NULL,
    account_id     uuid,                      -- where the subject names one
    note           text NOT NULL,
    dismissed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_name, stream_created, position)
);

-- Moves checkpoints on, or fails as a whole with AE001 where one of them is not
-- where, or not in the epoch, that its owner knows, or where the generation is
-- neither live nor being built.
CREATE FUNCTION export.advance(
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
    -- After the update, which may have waited for a cut-over to end: a projector
    -- notices with its next commit.
    IF NOT EXISTS (SELECT FROM export.generations WHERE generation = of_generation AND state IN ('live', 'building')) THEN
        RAISE EXCEPTION 'fenced: generation % is no longer projected', of_generation USING ERRCODE = 'AE001';
    END IF;
    -- Wakes who waits for a position, once this is committed.
    NOTIFY export_checkpoints;
END
$$;

GRANT USAGE ON SCHEMA export TO accountexport_reader;
GRANT SELECT ON export.generations, export.checkpoints TO accountexport_reader;

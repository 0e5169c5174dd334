-- The ledger of erasures. It belongs to no generation and outlives them, and,
-- exported and imported, the database, too: whoever restores a stream from
-- before an erasure finds here what has to be erased in it anew. Nobody but the
-- projector sees it.
CREATE TABLE export.erasures (
    account_id     uuid PRIMARY KEY,
    erased_at      timestamptz NOT NULL,      -- the event's own time
    position       bigint NOT NULL,           -- of the account.erased event, in this stream
    stream_name    text NOT NULL,
    stream_created timestamptz NOT NULL,
    receipt        text,                      -- digest of the last receipt of `projector erase`; NULL: there was none
    entered_at     timestamptz NOT NULL DEFAULT now()
);

-- One row: when the ledger was exported last, whole.
CREATE TABLE export.erasures_exported (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    exported_at timestamptz NOT NULL,
    erasures    bigint NOT NULL
);

-- Enters the tombstones that the ledger lacks, of all generations that are live or
-- were: what was built and never served may be of another stream. Of an account
-- with several it is the live one's, then the newest. It may be repeated.
CREATE FUNCTION export.enter_tombstones() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    g record;
    entered bigint;
    total bigint := 0;
BEGIN
    FOR g IN SELECT * FROM export.generations
        WHERE state IN ('live', 'retired') OR state = 'building' AND finished_at IS NOT NULL ORDER BY state <> 'live', generation DESC LOOP
        CONTINUE WHEN to_regclass(format('export_g%s.account_export', g.generation)) IS NULL;
        EXECUTE format('INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
            SELECT account_id, erased_at, position, $1, $2 FROM export_g%s.account_export WHERE erased_at IS NOT NULL
            ORDER BY account_id ON CONFLICT DO NOTHING', g.generation) USING g.stream_name, g.stream_created;
        GET DIAGNOSTICS entered = ROW_COUNT;
        total := total + entered;
    END LOOP;
    RETURN total;
END
$$;

REVOKE ALL ON FUNCTION export.enter_tombstones FROM PUBLIC;

SELECT export.enter_tombstones();

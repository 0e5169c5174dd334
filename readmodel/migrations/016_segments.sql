-- Runs of pages that have come to rest, compressed once more for those who read them
-- compressed. The pages stay what counts: a segment is a copy, and says which transactions
-- have written the pages that it is of. It counts for as long as the pages are those
-- (see export.SegmentHolds), which is looked at by whoever reads it: to change a page
-- costs nothing more. It goes with the first of its pages that is removed, whoever does
-- it. So a program that knows nothing of segments leaves none behind that is taken for
-- what is stored, and none of an erased account.
CREATE FUNCTION export.add_segments(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('
CREATE TABLE %1$I.account_export_segments (
    account_id uuid NOT NULL,
    section    smallint NOT NULL,
    first_key  text COLLATE "C" NOT NULL,
    last_key   text COLLATE "C" NOT NULL, -- no two segments overlap
    written_by xid[] NOT NULL,            -- xmin of each of the pages
    made       xid8 NOT NULL DEFAULT pg_current_xact_id(), -- by which transaction
    length     integer NOT NULL,          -- of the pages joined by commas, in bytes
    crc        bigint NOT NULL,           -- CRC-32 of them, as gzip has it
    deflated   bytea NOT NULL,            -- them, as whole bytes of a deflate stream that does not end
    PRIMARY KEY (account_id, section, first_key)
)', schema);
    EXECUTE format('ALTER TABLE %1$I.account_export_segments ALTER COLUMN deflated SET STORAGE EXTERNAL', schema);
    -- Whoever makes a segment holds the lock of the account''s row. It is taken here before
    -- segments are looked for, so that one that is being made meanwhile is seen, or is not made.
    EXECUTE format('
CREATE FUNCTION %1$I.remove_segment() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM FROM %1$I.account_export WHERE account_id = OLD.account_id FOR NO KEY UPDATE;
    DELETE FROM %1$I.account_export_segments
    WHERE account_id = OLD.account_id AND section = OLD.section AND last_key >= OLD.page_key AND first_key = (
        SELECT s.first_key FROM %1$I.account_export_segments s
        WHERE s.account_id = OLD.account_id AND s.section = OLD.section AND s.first_key <= OLD.page_key
        ORDER BY s.first_key DESC LIMIT 1);
    RETURN NULL;
END
$body$', schema);
    EXECUTE format('REVOKE ALL ON FUNCTION %1$I.remove_segment() FROM PUBLIC', schema);
    EXECUTE format('
CREATE TRIGGER remove_segment AFTER DELETE ON %1$I.account_export_pages
    FOR EACH ROW EXECUTE FUNCTION %1$I.remove_segment()', schema);
    EXECUTE format('GRANT SELECT ON %1$I.account_export_segments TO accountexport_reader', schema);
END
$$;

REVOKE ALL ON FUNCTION export.add_segments(text) FROM PUBLIC;

SELECT export.add_segments('export_g' || generation) FROM export.generations
WHERE to_regclass('export_g' || generation || '.account_export_pages') IS NOT NULL;

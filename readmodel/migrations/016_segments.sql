-- Runs of pages that have come to rest, compressed once more for those who read them
-- compressed. The pages stay what counts: a segment is a copy, which is void from the
-- moment on that one of its pages is changed, and goes with the first of them that is
-- removed, whoever does it. So a program that knows
-- nothing of segments leaves none behind that is stale, and none of an erased account.
CREATE FUNCTION export.add_segments(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('
CREATE TABLE %1$I.account_export_segments (
    account_id uuid NOT NULL,
    section    smallint NOT NULL,
    first_key  text COLLATE "C" NOT NULL,
    last_key   text COLLATE "C" NOT NULL, -- no two segments overlap
    pages      integer NOT NULL,          -- 0: it is void
    length     integer NOT NULL,          -- of the pages joined by commas, in bytes
    crc        bigint NOT NULL,           -- CRC-32 of them, as gzip has it
    deflated   bytea NOT NULL,            -- them, as whole bytes of a deflate stream that does not end
    PRIMARY KEY (account_id, section, first_key)
) WITH (fillfactor = 80)', schema);
    EXECUTE format('ALTER TABLE %1$I.account_export_segments ALTER COLUMN deflated SET STORAGE EXTERNAL', schema);
    -- Whoever makes a segment holds the lock of the account''s row. It is taken here before
    -- segments are looked for, so that one that is being made meanwhile is seen, or is not made. To
    -- make a segment void writes a fraction of what removing it would.
    EXECUTE format('
CREATE FUNCTION %1$I.remove_segment() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM FROM %1$I.account_export WHERE account_id = OLD.account_id FOR NO KEY UPDATE;
    IF TG_OP = ''DELETE'' THEN
        DELETE FROM %1$I.account_export_segments
        WHERE account_id = OLD.account_id AND section = OLD.section AND last_key >= OLD.page_key AND first_key = (
            SELECT s.first_key FROM %1$I.account_export_segments s
            WHERE s.account_id = OLD.account_id AND s.section = OLD.section AND s.first_key <= OLD.page_key
            ORDER BY s.first_key DESC LIMIT 1);
    ELSE
        UPDATE %1$I.account_export_segments SET pages = 0
        WHERE account_id = OLD.account_id AND section = OLD.section AND last_key >= OLD.page_key AND pages > 0 AND first_key = (
            SELECT s.first_key FROM %1$I.account_export_segments s
            WHERE s.account_id = OLD.account_id AND s.section = OLD.section AND s.first_key <= OLD.page_key
            ORDER BY s.first_key DESC LIMIT 1);
    END IF;
    RETURN NULL;
END
$body$', schema);
    EXECUTE format('REVOKE ALL ON FUNCTION %1$I.remove_segment() FROM PUBLIC', schema);
    EXECUTE format('
CREATE TRIGGER remove_segment AFTER UPDATE OR DELETE ON %1$I.account_export_pages
    FOR EACH ROW EXECUTE FUNCTION %1$I.remove_segment()', schema);
    EXECUTE format('GRANT SELECT ON %1$I.account_export_segments TO accountexport_reader', schema);
END
$$;

REVOKE ALL ON FUNCTION export.add_segments(text) FROM PUBLIC;

SELECT export.add_segments('export_g' || generation) FROM export.generations
WHERE to_regclass('export_g' || generation || '.account_export_pages') IS NOT NULL;

-- Storage format of a generation: 1 is what came before; in 2 every row counts
-- its messages and holds a digest of what is stored. A program of before, which
-- names no format, makes generations in format 1.

-- Readers of these tables do not wait behind this for longer than that.
SET LOCAL lock_timeout = '100ms';

ALTER TABLE export.generations ADD COLUMN format integer NOT NULL DEFAULT 1;
ALTER TABLE export.members ADD COLUMN format integer NOT NULL DEFAULT 1; -- the latest that it writes

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

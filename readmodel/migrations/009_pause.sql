-- While its one row is there, no checkpoint of any generation moves: `projector
-- pause` makes it, and `projector resume` removes it.
CREATE TABLE export.pause (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    paused_at timestamptz NOT NULL DEFAULT now(),
    paused_by text NOT NULL,
    note      text NOT NULL
);

-- That holds for every program, also for those that know of no pause, since it
-- is the table itself that refuses. It looks after the update, which may have
-- waited for a pause that was being made.
CREATE FUNCTION export.stand_still() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p record;
BEGIN
    SELECT * INTO p FROM export.pause;
    IF FOUND THEN
        RAISE EXCEPTION 'since %, by %', to_char(p.paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            p.paused_by || CASE WHEN p.note = '' THEN '' ELSE ' (' || p.note || ')' END USING ERRCODE = 'AE003';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER stand_still AFTER UPDATE OF position ON export.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION export.stand_still();

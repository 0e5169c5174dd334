-- What keeps projecting from going on, for who looks when no projector runs any
-- more: why one refused, and with which error partitions began again at their
-- checkpoints. There is one row for each class and partition, however often it
-- happens and however many processes it happens to. It is gone once that
-- partition, or whatever was refused, is projected again, by whichever replica.
-- It is nobody's log: it holds the programs' own words, and nothing of an event
-- but its position and its type.
CREATE TABLE export.problems (
    class         text NOT NULL CHECK (class IN ('refused', 'error')),
    partition     integer NOT NULL,           -- -1: of no one partition
    reason        text NOT NULL,              -- a word of a closed list
    message       text NOT NULL,
    generation    bigint NOT NULL,            -- 0: none was known
    position      bigint NOT NULL,            -- where it stood; 0: not known
    last_position bigint NOT NULL,            -- what failed is one of the messages from position to here; 0: not known
    event_type    text NOT NULL,              -- of the message at position; empty: not known
    replica       text NOT NULL,              -- that noted it last
    first_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    noted_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    times         bigint NOT NULL DEFAULT 1,  -- in a row, for this reason
    PRIMARY KEY (class, partition)
) WITH (fillfactor = 25); -- room for updates in place: no index holds what changes

-- The API tells of these as well, so that somebody does when no projector runs. Of
-- who is to be erased it learns how many there are, and not who.
GRANT SELECT ON export.problems TO accountexport_reader;
GRANT SELECT (member, seen_at) ON export.members TO accountexport_reader;
GRANT SELECT (anew) ON export.erasures_owed TO accountexport_reader;

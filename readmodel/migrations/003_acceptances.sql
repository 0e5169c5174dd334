-- What was given up of a stream's history by `projector accept`: a
-- generation that went on although messages were gone unread, or
-- on a stream with another identity that holds the same messages.

CREATE TABLE export.acceptances (
    generation  bigint NOT NULL REFERENCES export.generations ON DELETE CASCADE,
    accepted_at timestamptz NOT NULL DEFAULT now(),
    what        text NOT NULL,
    lost_from   bigint,                       -- positions that are gone unread; NULL where none are
    lost_to     bigint
);

CREATE INDEX acceptances_generation ON export.acceptances (generation);

-- Goes up where a cut-over lets positions mean other messages than before, so
-- that no entity tag from before is taken for one of now.
ALTER TABLE export.generations ADD COLUMN history integer NOT NULL DEFAULT 0;

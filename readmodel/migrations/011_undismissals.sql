-- Dismissals that were taken back, for the record: what was dismissed, with which
-- note, and why it counts again. As dismissals they are told by the stream and
-- the position, so that they outlive generations. They are no rows of
-- export.dismissals, which programs of before take for messages that do not count.
CREATE TABLE export.undismissals (
    stream_name    text NOT NULL,
    stream_created timestamptz NOT NULL,
    position       bigint NOT NULL,
    account_id     uuid,                      -- where the subject names one
    dismissed_at   timestamptz NOT NULL,
    dismissal_note text NOT NULL,
    undismissed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    note           text NOT NULL
);

CREATE INDEX undismissals_position ON export.undismissals (position);
CREATE INDEX undismissals_account ON export.undismissals (account_id);

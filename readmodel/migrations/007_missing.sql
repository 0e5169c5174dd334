-- What a stream has to be missing. Nobody but the projector sees it.
CREATE TABLE export.missing (
    stream         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_name    text NOT NULL,
    stream_created timestamptz NOT NULL,
    explained      bigint NOT NULL CHECK (explained >= 0), -- so many messages may be missing: known, and removals
    known          int8multirange NOT NULL,   -- missing when the stream was taken on, or accepted as lost
    undelivered    int8multirange NOT NULL DEFAULT '{}', -- counted by the server as there, and not delivered
    taken_on_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (stream_name, stream_created)
);

-- The positions that our erasures removed, or were about to. An entry is made,
-- and counted, before its message is removed, and once, whoever removes it. It
-- does not say whose the message was.
CREATE TABLE export.removals (
    stream    integer NOT NULL,
    position  bigint NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, position)
);

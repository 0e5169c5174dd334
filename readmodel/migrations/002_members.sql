-- Replicas of the projector that share the partitions of the live generation.
-- A member's name is also the owner of its checkpoints.
CREATE TABLE export.members (
    member    text PRIMARY KEY,
    backend   integer NOT NULL,               -- the server process of the connection that keeps it a member
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 25); -- rows are touched twice a second

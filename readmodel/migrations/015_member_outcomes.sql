-- What each replica has counted since its start, by type and outcome, so that one look
-- at the database has the counters of all of them. {"user.registered.v1":{"applied":3}}:
-- types and outcomes as in the metric projector_events_total. Null: not told, as by an
-- older program, or by one that has counted nothing yet.
ALTER TABLE export.members ADD COLUMN outcomes json;

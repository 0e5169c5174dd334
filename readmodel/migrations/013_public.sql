-- Whoever makes a function lets everybody call it, unless told otherwise. Nobody but
-- the projector, which owns them, has any use for these.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA export FROM PUBLIC;

-- A login for each program, in the role that `projector provision` has made for it,
-- with the passwords that psql finds in its environment. It may be run again.
\set ON_ERROR_STOP on
SET client_min_messages = warning; -- who has the role already
\getenv projector_password PROJECTOR_PASSWORD
\getenv api_password API_PASSWORD
SELECT 'CREATE ROLE projector LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'projector') \gexec
SELECT 'CREATE ROLE api LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'api') \gexec
ALTER ROLE projector PASSWORD :'projector_password';
ALTER ROLE api PASSWORD :'api_password';
GRANT accountexport_projector TO projector;
GRANT accountexport_reader TO api;

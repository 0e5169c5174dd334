-- A login and a database for the simulated control plane, with the password that psql
-- finds in its environment. It may be run again.
\set ON_ERROR_STOP on
\getenv control_plane_password CONTROL_PLANE_PASSWORD
SELECT 'CREATE ROLE control_plane LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'control_plane') \gexec
ALTER ROLE control_plane PASSWORD :'control_plane_password';
SELECT 'CREATE DATABASE control_plane OWNER control_plane TEMPLATE template0 ENCODING ''UTF8''' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'control_plane') \gexec

package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ServerInfo is how a server and a database are set up, as far as it matters here
// and as the user sees it that the program logs in as.
type ServerInfo struct {
	Database, User, Encoding string
	ReadOnly                 bool // nothing can be written: a standby, or default_transaction_read_only
	Superuser, CreatesRoles  bool // attributes of the user
	OwnsDatabase             bool
	HasProjector, HasReader  bool   // the roles exist
	Member                   bool   // the user is a member of ProjectorRole
	Inherits                 bool   // and has its rights by that
	NotInheriting            bool   // the user is a member of ReaderRole or ProjectorRole, and is NOINHERIT
	CreatesSchemas           bool   // ProjectorRole may create schemas and temporary tables
	Owner                    string // of the schema export; "" where there is none
	Reads                    bool   // the user may read the tables

	isolation string        // default_transaction_isolation
	timeout   time.Duration // statement_timeout; 0: none
	bytea     string        // bytea_output
	connections
}

// readServerInfo asks the server, which answers any user.
func readServerInfo(ctx context.Context, conn *pgx.Conn) (s ServerInfo, err error) {
	var timeout int64
	r := &s.connections
	err = conn.QueryRow(ctx, `
WITH sessions AS (
    SELECT datid, usesysid FROM pg_stat_activity
    WHERE datid IS NOT NULL AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend')
SELECT d.datname::text, u.rolname::text, pg_encoding_to_char(d.encoding)::text,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on', u.rolsuper, u.rolcreaterole,
    pg_has_role(d.datdba, 'MEMBER'), p.oid IS NOT NULL, EXISTS (SELECT FROM pg_roles WHERE rolname = 'accountexport_reader'),
    coalesce(pg_has_role(p.oid, 'MEMBER'), false), coalesce(pg_has_role(p.oid, 'USAGE'), false),
    NOT u.rolinherit AND coalesce((SELECT bool_or(pg_has_role(r.oid, 'MEMBER')) FROM pg_roles r WHERE r.rolname IN ('accountexport_reader', 'accountexport_projector')), false), coalesce(has_database_privilege(p.oid, d.oid, 'CREATE') AND has_database_privilege(p.oid, d.oid, 'TEMPORARY'), false),
    coalesce(pg_get_userbyid(n.nspowner)::text, ''), coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(g.oid, 'SELECT'), true),
    current_setting('default_transaction_isolation'), (SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'),
    current_setting('bytea_output'),
    current_setting('max_connections')::int - CASE WHEN u.rolsuper THEN 0 ELSE current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true), '0')::int END,
    (SELECT count(*) FROM sessions), d.datconnlimit, (SELECT count(*) FROM sessions WHERE datid = d.oid),
    u.rolconnlimit, (SELECT count(*) FROM sessions WHERE usesysid = u.oid)
FROM pg_database d JOIN pg_roles u ON u.rolname = current_user
LEFT JOIN pg_roles p ON p.rolname = 'accountexport_projector'
LEFT JOIN pg_namespace n ON n.nspname = 'export'
LEFT JOIN pg_class g ON g.relnamespace = n.oid AND g.relname = 'generations'
WHERE d.datname = current_database()`, pgx.QueryExecModeExec).Scan(&s.Database, &s.User, &s.Encoding, &s.ReadOnly, &s.Superuser, &s.CreatesRoles,
		&s.OwnsDatabase, &s.HasProjector, &s.HasReader, &s.Member, &s.Inherits, &s.NotInheriting, &s.CreatesSchemas, &s.Owner, &s.Reads, &s.isolation, &timeout, &s.bytea,
		&r.server, &r.serverUsed, &r.database, &r.databaseUsed, &r.user, &r.userUsed)
	if err != nil {
		return s, fmt.Errorf("ask how the database is set up: %w", err)
	}
	s.timeout = time.Duration(timeout) * time.Millisecond
	return s, nil
}

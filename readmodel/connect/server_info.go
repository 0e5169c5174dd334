package connect

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel"
)

// ServerInfo is how a server and a database are set up, as far as it matters here
// and as the user sees it that the program logs in as.
type ServerInfo struct {
	Database, User, Encoding string
	ReadOnly                 bool // nothing can be written: a standby, or default_transaction_read_only
	Superuser, CreatesRoles  bool // what the user is, and may
	OwnsDatabase             bool
	HasProjector, HasReader  bool   // the roles are there
	Member                   bool   // the user is a member of ProjectorRole
	Inherits                 bool   // and has its rights by that
	InheritsNothing          bool   // the user is a member of ReaderRole or the other, and does not inherit
	CreatesSchemas           bool   // ProjectorRole may, and temporary tables
	Owner                    string // of the schema export; "" where there is none
	Reads                    bool   // the user may read what is there

	isolation string
	timeout   time.Duration // of a statement; 0: none
	bytea     string
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
		&s.OwnsDatabase, &s.HasProjector, &s.HasReader, &s.Member, &s.Inherits, &s.InheritsNothing, &s.CreatesSchemas, &s.Owner, &s.Reads, &s.isolation, &timeout, &s.bytea,
		&r.server, &r.serverUsed, &r.database, &r.databaseUsed, &r.user, &r.userUsed)
	if err != nil {
		return s, fmt.Errorf("ask how the database is set up: %w", err)
	}
	s.timeout = time.Duration(timeout) * time.Millisecond
	return s, nil
}

// CheckProjector is an [ErrMisconfigured] where no projector can write here.
func (s ServerInfo) CheckProjector() error {
	switch {
	case s.Encoding != "UTF8":
		return misconfigured(fmt.Sprintf("database %s is encoded in %s, which does not have all that documents hold: one made by "+
			"CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 would do", s.Database, s.Encoding))
	case s.Owner != "" && s.Owner != readmodel.ProjectorRole:
		return misconfigured(fmt.Sprintf("schema export of database %s belongs to %s and not to %s, as where a dump was restored to a server without that role: "+
			"CREATE ROLE %[3]s NOLOGIN and CREATE ROLE %[4]s NOLOGIN, and the dump restored again to an empty database, would do",
			s.Database, s.Owner, readmodel.ProjectorRole, readmodel.ReaderRole))
	case s.Owner != "" && !s.Member && !s.Superuser:
		return misconfigured(fmt.Sprintf("user %s may not write the tables: GRANT %s TO %[1]s would do", quoted(s.User), readmodel.ProjectorRole))
	case s.Owner != "" && !s.Inherits && !s.Superuser:
		return s.notInheriting(readmodel.ProjectorRole)
	}
	return nil
}

func (s ServerInfo) notInheriting(role string) error {
	return misconfigured(fmt.Sprintf("user %s is a member of %s, and does not have its rights by that (NOINHERIT): ALTER ROLE %[1]s INHERIT would do",
		quoted(s.User), role))
}

// CheckReader is an [ErrMisconfigured] where no API can read here.
func (s ServerInfo) CheckReader() error {
	if s.Reads {
		return nil
	}
	if s.InheritsNothing {
		return s.notInheriting(readmodel.ReaderRole)
	}
	return misconfigured(fmt.Sprintf("user %s may not read the tables: GRANT %s TO %[1]s would do, and where a dump was restored to a server without "+
		"that role, the dump restored again now that it is there", quoted(s.User), readmodel.ReaderRole))
}

// CheckMigrator is an [ErrMisconfigured] where the user cannot bring this database to the
// schema.
func (s ServerInfo) CheckMigrator() error {
	if err := s.CheckProjector(); err != nil && !(s.CreatesRoles && !s.Member && s.Owner == readmodel.ProjectorRole) { // who will be a member
		return err
	}
	if s.HasProjector && s.Member && !s.Inherits && !s.Superuser {
		return s.notInheriting(readmodel.ProjectorRole)
	}
	var do []string
	if !s.Superuser {
		for _, role := range []struct {
			name  string
			there bool
		}{{readmodel.ProjectorRole, s.HasProjector}, {readmodel.ReaderRole, s.HasReader}} {
			if !role.there && !s.CreatesRoles {
				do = append(do, "CREATE ROLE "+role.name+" NOLOGIN")
			}
		}
		if !s.Member && !s.CreatesRoles {
			do = append(do, "GRANT "+readmodel.ProjectorRole+" TO "+quoted(s.User))
		}
		if !s.CreatesSchemas && !s.OwnsDatabase {
			do = append(do, "GRANT CREATE, TEMPORARY ON DATABASE "+quoted(s.Database)+" TO "+readmodel.ProjectorRole)
		}
	}
	if do != nil {
		return misconfigured(fmt.Sprintf("user %s lacks rights to set database %s up: %s, by somebody who may, would do", s.User, s.Database, strings.Join(do, " and ")))
	}
	return s.CheckWritable()
}

// CheckWritable is an [ErrMisconfigured] where nothing can be written at present, which a
// program that goes on waits out.
func (s ServerInfo) CheckWritable() error {
	if !s.ReadOnly {
		return nil
	}
	return misconfigured(fmt.Sprintf("database %s takes no writes: it is a standby, or default_transaction_read_only is set for it or for user %s, "+
		"which ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only ends", quoted(s.Database), quoted(s.User)))
}

// forTransactions is an [ErrMisconfigured] where a setting would have to be another one
// for a session, which a pooler of transactions does not have. A statement takes
// no longer than most.
func (s ServerInfo) forTransactions(most time.Duration) error {
	var set string
	switch {
	case s.isolation != "read committed":
		set = "default_transaction_isolation = 'read committed'"
	case s.timeout > 0 && s.timeout < most:
		set = "statement_timeout = 0"
	case s.bytea != "hex":
		set = "bytea_output = hex"
	default:
		return nil
	}
	return misconfigured(fmt.Sprintf("a pooler of transactions is in between, through which settings cannot be made, and this needs another one: ALTER ROLE %s SET %s would do", quoted(s.User), set))
}

// quoted is a name as SQL takes it.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

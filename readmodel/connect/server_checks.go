package connect

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/readmodel"
)

// CheckProjector is an [ErrMisconfigured] where no projector can write.
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

// CheckReader is an [ErrMisconfigured] where no API can read.
func (s ServerInfo) CheckReader() error {
	if s.Reads {
		return nil
	}
	if s.NotInheriting {
		return s.notInheriting(readmodel.ReaderRole)
	}
	return misconfigured(fmt.Sprintf("user %s may not read the tables: GRANT %s TO %[1]s would do, and where a dump was restored to a server without "+
		"that role, the dump restored again now that it is there", quoted(s.User), readmodel.ReaderRole))
}

// CheckMigrator is an [ErrMisconfigured] where the user cannot bring this database to
// this program's schema.
func (s ServerInfo) CheckMigrator() error {
	if err := s.CheckProjector(); err != nil && !(s.CreatesRoles && !s.Member && s.Owner == readmodel.ProjectorRole) { // the migration makes such a user a member
		return err
	}
	if s.HasProjector && s.Member && !s.Inherits && !s.Superuser {
		return s.notInheriting(readmodel.ProjectorRole)
	}
	var statements []string
	if !s.Superuser {
		for _, role := range []struct {
			name  string
			there bool
		}{{readmodel.ProjectorRole, s.HasProjector}, {readmodel.ReaderRole, s.HasReader}} {
			if !role.there && !s.CreatesRoles {
				statements = append(statements, "CREATE ROLE "+role.name+" NOLOGIN")
			}
		}
		if !s.Member && !s.CreatesRoles {
			statements = append(statements, "GRANT "+readmodel.ProjectorRole+" TO "+quoted(s.User))
		}
		if !s.CreatesSchemas && !s.OwnsDatabase {
			statements = append(statements, "GRANT CREATE, TEMPORARY ON DATABASE "+quoted(s.Database)+" TO "+readmodel.ProjectorRole)
		}
	}
	if statements != nil {
		return misconfigured(fmt.Sprintf("user %s lacks rights to set database %s up: %s, by somebody who may, would do", s.User, s.Database, strings.Join(statements, " and ")))
	}
	return s.CheckWritable()
}

// CheckWritable is an [ErrMisconfigured] where nothing can be written at present; a
// program that runs on waits until something can.
func (s ServerInfo) CheckWritable() error {
	if !s.ReadOnly {
		return nil
	}
	return misconfigured(fmt.Sprintf("database %s takes no writes: it is a standby, or default_transaction_read_only is set for it or for user %s, "+
		"which ALTER DATABASE or ALTER ROLE … RESET default_transaction_read_only ends", quoted(s.Database), quoted(s.User)))
}

// checkTransactionPooling is an [ErrMisconfigured] where a setting would have to be
// changed for the session, which a pooler of transactions does not have. A statement
// takes no longer than maxTime.
func (s ServerInfo) checkTransactionPooling(maxTime time.Duration) error {
	var setting string
	switch {
	case s.isolation != "read committed":
		setting = "default_transaction_isolation = 'read committed'"
	case s.timeout > 0 && s.timeout < maxTime:
		setting = "statement_timeout = 0"
	case s.bytea != "hex":
		setting = "bytea_output = hex"
	default:
		return nil
	}
	return misconfigured(fmt.Sprintf("a pooler of transactions is in between, through which settings cannot be made, and this needs another one: ALTER ROLE %s SET %s would do", quoted(s.User), setting))
}

func (s ServerInfo) notInheriting(role string) error {
	return misconfigured(fmt.Sprintf("user %s is a member of %s, and does not have its rights by that (NOINHERIT): ALTER ROLE %[1]s INHERIT would do",
		quoted(s.User), role))
}

// quoted is a name as SQL takes it.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

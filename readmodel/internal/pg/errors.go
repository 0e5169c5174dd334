package pg

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that the packages of the read model tell apart.
const (
	LockNotAvailable      = "55P03" // lock_timeout or NOWAIT
	DeadlockDetected      = "40P01"
	SerializationFailure  = "40001"
	InsufficientPrivilege = "42501"
	UndefinedTable        = "42P01"
	UndefinedColumn       = "42703"
	InvalidSchemaName     = "3F000"
	TooManyConnections    = "53300"
	ReadOnly              = "25006" // read_only_sql_transaction: a standby
)

// Code is the SQLSTATE of the server's error that err is or wraps; empty where the
// error is not the server's, as where the connection was lost.
func Code(err error) string {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return ""
	}
	return refused.Code
}

// IsUndefinedTable tells whether a table, or the schema that it should be in, does
// not exist: a generation was dropped, or the database was not migrated.
func IsUndefinedTable(err error) bool {
	code := Code(err)
	return code == UndefinedTable || code == InvalidSchemaName
}

// IsUndefinedColumn tells whether a column does not exist: the database was
// migrated by an older program.
func IsUndefinedColumn(err error) bool { return Code(err) == UndefinedColumn }

// IsSerializationFailure tells whether the server ended a transaction in favour of
// another one, as it also does for a deadlock. The transaction has changed
// nothing and may be run again.
func IsSerializationFailure(err error) bool {
	code := Code(err)
	return code == SerializationFailure || code == DeadlockDetected
}

package export

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// The errors of a [Reader], and ErrBusy and ErrTimeout of a [Waiter] as well.
var (
	// ErrBusy means that the read's turn has not come, though the database answers
	// others.
	ErrBusy = errors.New("read export: no connection, or no room for the document, has come free")
	// ErrTimeout means that the database has not answered in time.
	ErrTimeout = errors.New("read export: the database took too long")
	// ErrSpool means that files for documents cannot be created, written or read, or
	// that a document would never fit into them.
	ErrSpool = errors.New("spool")
)

// errShuttingDown means that the program ends, so the position is not waited for.
var errShuttingDown = errors.New("wait for a position: the program is ending")

// ErrorKind is what keeps exports, or positions, from being read. It is never the
// account's fault.
type ErrorKind uint8

// The kinds of errors.
const (
	Unavailable    ErrorKind = iota // the database cannot be reached, or does not answer, or fails
	Busy                            // the database answers others, and has no capacity left for this read
	NotProvisioned                  // the database answers, but what is to be read does not exist, or this login may not read it
	SpoolFailed                     // the database answers, but this program has no disk for what it read
	ShuttingDown                    // this program is ending
)

// KindOf says which kind of error a [Reader] or a [Waiter] has returned. What it
// does not know is the database's failure.
func KindOf(err error) ErrorKind {
	switch {
	case errors.Is(err, ErrBusy):
		return Busy
	case errors.Is(err, errShuttingDown):
		return ShuttingDown
	case errors.Is(err, ErrSpool):
		return SpoolFailed
	case errors.Is(err, readmodel.ErrNoGeneration), errors.Is(err, readmodel.ErrSchemaOutdated):
		return NotProvisioned
	}
	switch pg.Code(err) {
	case pg.TooManyConnections, "53400": // configuration_limit_exceeded; the limit is the server's, the database's or the login's
		return Busy
	case pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedColumn, "42883", // undefined_function
		pg.InsufficientPrivilege,
		"28000", "28P01", // invalid_authorization_specification, invalid_password
		"3D000": // invalid_catalog_name: no such database
		return NotProvisioned
	}
	return Unavailable
}

// IsTransient tells that an error concerns one read only, whose connection was lost
// or which the server ended in favour of another transaction: the next read may
// well succeed.
func IsTransient(err error) bool { return connectionLost(err) || pg.IsSerializationFailure(err) }

// connectionLost tells that a connection was lost, or that the server ended it, so
// that reading once more through another one is worth it.
func connectionLost(err error) bool {
	if code := pg.Code(err); code != "" {
		return code == "57P01" || code == "57P02" // admin_shutdown, as by pg_terminate_backend, and crash_shutdown
	}
	if err == nil || errors.Is(err, ErrTimeout) || errors.Is(err, ErrBusy) || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

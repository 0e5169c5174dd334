package export

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// ErrorKind is what keeps exports, or positions, from being read.
type ErrorKind uint8

// The kinds of trouble.
const (
	Unavailable    ErrorKind = iota // the database cannot be reached, or does not answer, or fails
	Busy                            // it answers others: what may be asked of it at once is being asked
	NotProvisioned                  // it answers, but what is to be read is not there, or not for this login
	SpoolFailed                     // it answers, but this program has no disk for what it read
	ShuttingDown                    // this program is ending
)

// KindOf says which kind of trouble an error of [Reader] and [Waiter] is. What
// it does not know is the database's failure.
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

// IsTransient tells that an error is of one read, whose connection was lost or which the
// server ended for the sake of another: the next may well succeed.
func IsTransient(err error) bool { return connectionLost(err) || pg.IsSerializationFailure(err) }

// liveness is when the database answered last. A turn that does not come is another's
// fault, and not the database's, only where that answered somebody meanwhile: a
// database that has fallen silent keeps all connections to it in use.
type liveness struct {
	from time.Time    // before it all
	at   atomic.Int64 // nanoseconds from then
}

func newLiveness() *liveness { return &liveness{from: time.Now()} }

func (p *liveness) answered() { p.at.Store(int64(time.Since(p.from))) }

// answeredSince tells whether the database has answered since then.
func (p *liveness) answeredSince(then time.Time) bool {
	at := p.at.Load()
	return at > 0 && at > int64(then.Sub(p.from))
}

// timeoutError is the error of one whose turn has not come since then.
func (p *liveness) timeoutError(then time.Time) error {
	if p.answeredSince(then) {
		return ErrBusy
	}
	return fmt.Errorf("%w: nobody had an answer meanwhile", ErrTimeout)
}

// classify is err, but for a turn that has not come since then: [liveness.timeoutError].
func (p *liveness) classify(err error, then time.Time) error {
	if errors.Is(err, ErrBusy) {
		return p.timeoutError(then)
	}
	return err
}

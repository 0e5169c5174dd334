package export

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Trouble is what keeps exports, or positions, from being read.
type Trouble uint8

// The kinds of trouble.
const (
	Away     Trouble = iota // the database cannot be reached, or does not answer, or fails
	Busy                    // it answers others: what may be asked of it at once is being asked
	NotSetUp                // it answers, but what is to be read is not there, or not for this login
	NoRoom                  // it answers, but this program has no disk for what it read
	Ending                  // this program is ending
)

// TroubleOf says which kind of trouble an error of [Exports] and [Waits] is. What
// it does not know is the database's failure.
func TroubleOf(err error) Trouble {
	switch {
	case errors.Is(err, ErrBusy):
		return Busy
	case errors.Is(err, errEnded):
		return Ending
	case errors.Is(err, ErrSpool):
		return NoRoom
	case errors.Is(err, readmodel.ErrNoGeneration), errors.Is(err, readmodel.ErrSchema):
		return NotSetUp
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "53300", "53400": // too_many_connections, configuration_limit_exceeded: of the server, a database or a login
			return Busy
		case "42P01", "3F000", "42703", "42883", // undefined_table, invalid_schema_name, undefined_column, undefined_function
			"42501",          // insufficient_privilege
			"28000", "28P01", // invalid_authorization_specification, invalid_password
			"3D000": // invalid_catalog_name: no such database
			return NotSetUp
		}
	}
	return Away
}

// Passing tells that an error is of one read, whose connection was lost or which the
// server ended for the sake of another: the next may well succeed.
func Passing(err error) bool { return lost(err) || pg.IsSerializationFailure(err) }

// pulse is when the database answered last. A turn that does not come is another's
// fault, and not the database's, only where that answered somebody meanwhile: a
// database that has fallen silent keeps all connections to it in use.
type pulse struct {
	from time.Time    // before it all
	at   atomic.Int64 // nanoseconds from then
}

func newPulse() *pulse { return &pulse{from: time.Now()} }

func (p *pulse) beat() { p.at.Store(int64(time.Since(p.from))) }

// since tells whether the database has answered since then.
func (p *pulse) since(then time.Time) bool {
	at := p.at.Load()
	return at > 0 && at > int64(then.Sub(p.from))
}

// late is the error of one whose turn has not come since then.
func (p *pulse) late(then time.Time) error {
	if p.since(then) {
		return ErrBusy
	}
	return fmt.Errorf("%w: nobody had an answer meanwhile", ErrSlow)
}

// turned is err, but for a turn that has not come since then: [pulse.late].
func (p *pulse) turned(err error, then time.Time) error {
	if errors.Is(err, ErrBusy) {
		return p.late(then)
	}
	return err
}

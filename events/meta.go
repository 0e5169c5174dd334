package events

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Meta is what an event says of itself beside its data. A constructor refuses an
// empty ID or Source, and a Time that was never set.
type Meta struct {
	ID     string // unique per source; also what the publisher deduplicates by
	Source string // for example "/control-plane/api"
	Time   Time   // when it happened
}

// NewMeta is the Meta of an event that happens now: a new random ID, and the time to
// the microsecond. Make it once an event, and publish the message that was made of it
// again where its acknowledgement did not come: a new Meta is a new event.
func NewMeta(source string) Meta {
	return Meta{ID: NewUUID().String(), Source: source, Time: TimeOf(time.Now())}
}

// NewUUID is a new random UUID of version 7, which sorts by the time when it was made:
// for a team, an API key or an event. It never fails, and is safe for concurrent use.
func NewUUID() UUID {
	return UUID(uuid.Must(uuid.NewV7())) // fails where the system has no randomness, which ends the program anyway
}

// A value that was never set is on the wire like any other: a Time of 0 is 1970, a
// time.Time of its own zero value the year 1, a UUID all zeros. Decode accepts these,
// as the contract does; no control plane means them, so constructors refuse them.
const (
	wantSetTime = "the time when it happened, not the zero value of a time"
	wantSetUUID = "a UUID, not the zero value of one"
)

// check is what is wrong with a time that is to be sent; nil where nothing is.
func (t Time) check(field string) *Invalid {
	switch {
	case t < minTime || t > maxTime:
		return invalid(field, strconv.FormatInt(int64(t), 10)+" microseconds", wantTime)
	case t == 0 || t == minTime:
		return invalid(field, quoted(t.String()), wantSetTime)
	}
	return nil
}

// check is what is wrong with a UUID that is to be sent; nil where nothing is.
func (id UUID) check(field string) *Invalid {
	if id == (UUID{}) {
		return invalid(field, quoted(id.String()), wantSetUUID)
	}
	return nil
}

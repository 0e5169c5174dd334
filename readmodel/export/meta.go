package export

import (
	"strconv"
	"time"
)

// State says what there is to serve of an account.
type State uint8

// The states of an account.
const (
	Unknown    State = iota // no message of the account was consumed yet
	Incomplete              // heard of, but user, team or the team's tier is missing
	Complete                // there is a document
	Erased                  // removed at its owner's wish; a tombstone stays
)

// Meta is everything that is known of an account's export but its document.
type Meta struct {
	State        State
	Missing      []string  // where Incomplete: of "user", "team", "quota_tier"
	Position     uint64    // stream sequence of the account's last consumed message
	TierPosition uint64    // stream sequence of the tier's definition; 0 where there is none
	Parked       int       // messages of the account that are parked
	Dismissed    int       // those of them that were dismissed
	AsOf         time.Time // everything that the stream held at this time is in
	Major, Minor int       // projection version that folded it
	Incarnation  int       // which meaning positions have, see [readmodel.Generation]
}

// ETag is the strong entity tag of the document as plain JSON: the same on
// every replica, and the same before and after a rebuild by the same projection
// version, as the bytes are. Where positions came to mean other messages, since
// the stream was recreated, the tag is another one.
func (m Meta) ETag() string {
	b := append(make([]byte, 0, 48), '"')
	b = append(strconv.AppendInt(b, int64(m.Major), 10), '.')
	b = append(strconv.AppendInt(b, int64(m.Minor), 10), '-')
	b = append(strconv.AppendUint(b, m.Position, 10), '-')
	b = strconv.AppendUint(b, m.TierPosition, 10)
	if m.Incarnation > 0 {
		b = strconv.AppendInt(append(b, '-'), int64(m.Incarnation), 10)
	}
	return string(append(b, '"'))
}

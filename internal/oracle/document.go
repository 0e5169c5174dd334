package oracle

import (
	"maps"
	"slices"
	"strconv"
)

// State says whether an account has a document.
type State string

// The states of contract §4.
const (
	NeverHeardOf State = "never heard of"
	Incomplete   State = "incomplete"
	Complete     State = "complete"
	Erased       State = "erased"
)

// Account is the state of one account.
type Account struct {
	State        State
	Missing      []string // of user, team and quota_tier, if incomplete
	Position     uint64
	TierPosition uint64 // position of the team's tier definition, or 0
	Parked       int    // parked messages on record
	Waiting      int    // deferred events not applied yet
	ErasedAt     string // time of the erasure, if erased
	Document     []byte // compact JSON, if complete
}

// Accounts lists in order every account of which there was a message, including
// erased ones.
func (f *Fold) Accounts() []string {
	return slices.Sorted(maps.Keys(f.accounts))
}

// Account returns the state of an account.
func (f *Fold) Account(id string) Account {
	a := f.accounts[id]
	if a == nil {
		return Account{State: NeverHeardOf}
	}
	if a.erased {
		return Account{State: Erased, Position: a.position, ErasedAt: formatTime(a.erasedAt)}
	}
	out := Account{State: Incomplete, Position: a.position, Waiting: len(a.waiting)}
	for _, p := range f.parked {
		if p.Account == id {
			out.Parked++
		}
	}
	if a.user == nil {
		out.Missing = append(out.Missing, "user")
	}
	if a.team == nil {
		out.Missing = append(out.Missing, "team")
	}
	var t tier
	if a.team != nil {
		t = f.tiers[a.team.quotaTier]
		out.TierPosition = t.position
	}
	if t.id == "" {
		out.Missing = append(out.Missing, "quota_tier")
	}
	if len(out.Missing) == 0 {
		out.State, out.Document = Complete, a.document(t)
	}
	return out
}

// writer builds compact JSON and puts the commas.
type writer struct{ b []byte }

func (w *writer) comma() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) raw(name, literal string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, `":`...)
	w.b = append(w.b, literal...)
}

func (w *writer) text(name, s string)          { w.raw(name, quote(s)) }
func (w *writer) integer(name string, n int64) { w.raw(name, strconv.FormatInt(n, 10)) }
func (w *writer) decimal(name string, n int64) { w.raw(name, formatDecimal(n)) }
func (w *writer) boolean(name string, b bool)  { w.raw(name, strconv.FormatBool(b)) }
func (w *writer) time(name string, t int64)    { w.raw(name, `"`+formatTime(t)+`"`) }

func (w *writer) textOrNull(name string, s *string) {
	if s == nil {
		w.raw(name, "null")
		return
	}
	w.text(name, *s)
}

func (w *writer) timeOrNull(name string, t *int64) {
	if t == nil {
		w.raw(name, "null")
		return
	}
	w.time(name, *t)
}

func (w *writer) list(name string, n int, item func(i int)) {
	w.raw(name, "[")
	for i := range n {
		w.comma()
		w.b = append(w.b, '{')
		item(i)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// quote writes a string with no more escapes than JSON requires.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

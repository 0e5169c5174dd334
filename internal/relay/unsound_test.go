package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestAHeaderThatCannotBeReadHoldsUpItsOwnSubject: such as somebody has put there who
// took the table's conditions away. It goes once it is mended.
func TestAHeaderThatCannotBeReadHoldsUpItsOwnSubject(t *testing.T) {
	a := newArena(t)
	one, two := account(1), account(2)
	a.write(t, increment(t, "1a", one), increment(t, "1b", one), increment(t, "1c", one), increment(t, "2a", two))
	a.exec(t, `ALTER TABLE outbox.messages DROP CONSTRAINT messages_header_check`)
	a.exec(t, `UPDATE outbox.messages SET header = '{"Content-Type": "text/plain"}' WHERE id = '1b'`)
	a.relay(t, Options{Retry: 200 * time.Millisecond})
	a.drained(t, 2)
	a.write(t, increment(t, "2b", two))
	a.drained(t, 2)
	want := map[string][]string{events.AccountSubject(one): {"1a"}, events.AccountSubject(two): {"2a", "2b"}}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s, err := ReadStatus(t.Context(), a.pool)
	if err != nil || len(s.Refused) != 1 || s.Refused[0].ID != "1b" || !strings.Contains(s.Refused[0].Reason, "arrays of texts") {
		t.Errorf("status: %+v, %v", s, err)
	}
	a.exec(t, `UPDATE outbox.messages SET header = '{"Content-Type": ["application/cloudevents+json"]}' WHERE id = '1b'`)
	a.drained(t, 0)
	want[events.AccountSubject(one)] = []string{"1a", "1b", "1c"}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// exec changes the database, as somebody does by hand.
func (a *arena) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := a.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

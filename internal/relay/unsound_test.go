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

// TestACounterThatWasRemovedHoldsUpItsOwnSubject, until what was written before is
// published; other subjects go on, and nothing comes out of order.
func TestACounterThatWasRemovedHoldsUpItsOwnSubject(t *testing.T) {
	a := newArena(t)
	one, two := account(1), account(2)
	a.write(t, increment(t, "1a", one), increment(t, "1b", one))
	a.exec(t, `DELETE FROM outbox.subjects`)
	a.exec(t, `DELETE FROM outbox.messages WHERE id = '1a'`) // whose number is given out again
	a.write(t, increment(t, "1c", one), increment(t, "2a", two))
	s := a.byHand(t)
	if _, err := s.window(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{events.AccountSubject(one): {"1b"}, events.AccountSubject(two): {"2a"}}
	if diff := cmp.Diff(want, a.stored(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	status, err := ReadStatus(t.Context(), a.pool)
	if err != nil || len(status.Refused) != 1 || status.Refused[0].ID != "1c" || !strings.Contains(status.Refused[0].Reason, "changed by hand") {
		t.Errorf("status: %+v, %v", status, err)
	}
	a.write(t, increment(t, "1d", one))
	if err := s.retryRefused(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.window(t.Context()); err != nil {
		t.Fatal(err)
	}
	want[events.AccountSubject(one)] = []string{"1b", "1c", "1d"}
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

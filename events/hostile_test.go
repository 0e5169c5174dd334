package events_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"accountexport/events"
	"accountexport/internal/local/corpus"
)

// TestHostileMessages decodes the corpus, and checks each message a second
// time.
func TestHostileMessages(t *testing.T) {
	check := newRecheck()
	seen := map[string]bool{}
	for _, h := range corpus.Read(t, "testdata/hostile") {
		t.Run(h.Name, func(t *testing.T) {
			if seen[h.Name] {
				t.Fatal("the name was used before")
			}
			seen[h.Name] = true
			e, to, err := events.Decode(h.Message)
			got := verdictOf(e, err)
			if got != verdict(h.Want) {
				t.Fatalf("%s (%v), want %s %s", got, err, h.Want, h.Field)
			}
			if to != events.ParseSubject(h.Message.Subject) {
				t.Errorf("the subject is %v", to)
			}
			if again, why := check.judge(h.Message); again != got {
				t.Errorf("checked again it is %s: %v", again, why)
			}
			if err == nil {
				return
			}
			var reason *events.Invalid
			if !errors.As(err, &reason) || reason.Field != h.Field {
				t.Fatalf("the reason is %v, want one about %s", err, h.Field)
			}
			if e.Data != nil {
				t.Error("a refused event has data")
			}
			checkReason(t, reason)
		})
	}
	if len(seen) < 80 {
		t.Errorf("only %d messages", len(seen))
	}
}

// checkReason holds a reason against what an operator needs: short, printable,
// in one line.
func checkReason(t *testing.T, reason *events.Invalid) {
	t.Helper()
	line := reason.Error()
	if reason.Field == "" || reason.Found == "" || reason.Want == "" || len(reason.Found) > 600 ||
		utf8.RuneCountInString(reason.Found) > 200 || !utf8.ValidString(line) ||
		strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("the reason does not read well: %q", line)
	}
	checkMasked(t, reason)
}

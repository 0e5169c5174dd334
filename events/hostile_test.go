package events_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"accountexport/events"
)

// hostile is one block of testdata/hostile, whose README says what it holds.
type hostile struct {
	name    string
	message events.Message
	want    verdict
	field   string
}

// TestHostileMessages decodes the corpus, and checks each message a second
// time.
func TestHostileMessages(t *testing.T) {
	check := newRecheck()
	seen := map[string]bool{}
	for _, h := range readHostile(t) {
		t.Run(h.name, func(t *testing.T) {
			if seen[h.name] {
				t.Fatal("the name was used before")
			}
			seen[h.name] = true
			e, to, err := events.Decode(h.message)
			got := verdictOf(e, err)
			if got != h.want {
				t.Fatalf("%s (%v), want %s %s", got, err, h.want, h.field)
			}
			if to != events.ParseSubject(h.message.Subject) {
				t.Errorf("the subject is %v", to)
			}
			if again, why := check.judge(h.message); again != got {
				t.Errorf("checked again it is %s: %v", again, why)
			}
			if err == nil {
				return
			}
			var reason *events.Invalid
			if !errors.As(err, &reason) || reason.Field != h.field {
				t.Fatalf("the reason is %v, want one about %s", err, h.field)
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

func readHostile(t testing.TB) []hostile {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []hostile
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n\n") {
			h, err := parseHostile(strings.Split(strings.Trim(block, "\n"), "\n"))
			if err != nil {
				t.Fatalf("%s: %q: %v", file, h.name, err)
			}
			all = append(all, h)
		}
	}
	return all
}

func parseHostile(lines []string) (hostile, error) {
	const soundPayload = `"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z"`
	const soundHeader = `"ce-specversion" "1.0" "ce-id" "1" "ce-source" "/s" "ce-time" "2026-03-25T07:10:47Z"`
	h := hostile{message: events.Message{Subject: "controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005", Header: map[string][]string{}}}
	payload := ""
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch key {
		case "==":
			h.name = value
		case "subject":
			h.message.Subject = value
		case "header":
			err = addHeaders(h.message.Header, strings.ReplaceAll(value, "«sound»", soundHeader))
		case "payload":
			payload = strings.ReplaceAll(value, "«sound»", soundPayload)
		case "quoted":
			payload, err = strconv.Unquote(value)
		case "fill":
			part := strings.SplitN(value, " ", 3)
			var times int
			if times, err = strconv.Atoi(part[1]); err == nil {
				payload = strings.ReplaceAll(payload, part[0], strings.Repeat(part[2], times))
			}
		case "want":
			is, field, _ := strings.Cut(value, " ")
			h.want, h.field = verdict(is), field
		default:
			err = errors.New("a line that starts with " + key)
		}
		if err != nil {
			return h, err
		}
	}
	h.message.Data = []byte(payload)
	if h.want == "" || h.name == "" || strings.Contains(payload, "«") {
		return h, errors.New("no name, nothing wanted, or a placeholder left")
	}
	return h, nil
}

// addHeaders reads quoted names and values in turn.
func addHeaders(into map[string][]string, text string) error {
	name, named := "", false
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		prefix, err := strconv.QuotedPrefix(text)
		if err != nil {
			return err
		}
		text = text[len(prefix):]
		value, err := strconv.Unquote(prefix)
		if err != nil {
			return err
		}
		if !named {
			name, named = value, true
			continue
		}
		into[name], named = append(into[name], value), false
	}
	if named {
		return errors.New("a header without value")
	}
	return nil
}

package events_test

import (
	"errors"
	"strings"
	"testing"

	"accountexport/events"
)

// TestReasons shows how the reasons read.
func TestReasons(t *testing.T) {
	email := func(data string) events.Message { return structured("user.email_changed.v1", data) }
	subject := email(`{}`)
	subject.Subject = "controlplane.account.\xff\n\"" + strings.Repeat("x", 100)
	const text = "want a text of 1 to 1024 characters, none of them U+0000"
	for _, test := range []struct {
		m    events.Message
		want string
	}{
		{email(`{}`), `data.email: found nothing, ` + text},
		{email(`{"email":null}`), `data.email: found null, ` + text},
		{email(`{"email":""}`), `data.email: found "", ` + text},
		{email(`{"email":7}`), `data.email: found 7, ` + text},
		{email(`{"email":{"a": "\n"}}`), `data.email: found {"a": "\n"}, ` + text},
		{email("{\"email\":[\n\t1]}"), `data.email: found [\n\t1], ` + text},
		{email(`{"email":"` + strings.Repeat("é", 1025) + `"}`),
			`data.email: found "` + strings.Repeat("é", 64) + `"… (2050 bytes), ` + text},
		{email(`{"email":[` + strings.Repeat("1,", 2000) + `1]}`),
			`data.email: found [` + strings.Repeat("1,", 31) + `1… (4003 bytes), ` + text},
		{email(`[]`), `data: found [], want a JSON object`},
		{email(`{"email":"a","email":"b"}`), `payload: found duplicate object member name at /data/email, byte 138, ` +
			`want JSON (RFC 8259) in UTF-8, no name twice in an object`},
		{subject, `subject: found "controlplane.account.\xFF\n\"` + strings.Repeat("x", 35) + `"… (124 bytes), ` +
			`want controlplane.account.<UUID in lower case> or controlplane.quota_tier.<1 to 64 of A-Z a-z 0-9 _ ->`},
	} {
		_, _, err := events.Decode(test.m)
		var reason *events.Invalid
		if !errors.As(err, &reason) || reason.Error() != test.want {
			t.Errorf("the reason reads\n%v, want\n%s", err, test.want)
			continue
		}
		checkReason(t, reason)
	}
}

// TestReasonsStayShort whatever is in the message.
func TestReasonsStayShort(t *testing.T) {
	for _, piece := range []string{"x", "\x00", "\x80", "\xf0\x9f", "😀", "\u2028", `"`, `\`, "\U000e0001"} {
		long := strings.Repeat(piece, 5000)
		m := structured("user.restored.v1", `{}`)
		m.Subject = long
		broken := structured("user.restored.v1", `{"`+long+`":1,"`+long+`":2}`)
		binary := structured("user.restored.v1", `{}`)
		binary.Header = map[string][]string{"ce-specversion": {long}}
		for _, m := range []events.Message{m, broken, binary} {
			_, _, err := events.Decode(m)
			var reason *events.Invalid
			if !errors.As(err, &reason) {
				t.Fatalf("%v", err)
			}
			checkReason(t, reason)
		}
	}
}

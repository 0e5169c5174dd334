package events_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"accountexport/events"
)

// kindsFound are all that a masked reason may say of what was found.
var kindsFound = map[string]bool{
	"nothing": true, "null": true, "two values": true, "an end too early": true, "more than 1000 levels of nesting": true, "a boolean": true,
	"more after the end": true, "an empty text": true, "a text": true, "an object": true, "a list": true, "invalid UTF-8": true,
	"a name twice": true, "broken JSON": true, "too many bytes": true, "too large a sum": true, "a number": true, "something else": true,
}

// checkMasked: field and what would be right are kept, and what was found is one
// of a few words, so that nothing of the message is left.
func checkMasked(t *testing.T, reason *events.Invalid) {
	t.Helper()
	masked := reason.Masked()
	rest, ok := strings.CutPrefix(masked, reason.Field+": found ")
	kind, want, _ := strings.Cut(rest, ", want ")
	if !ok || !kindsFound[kind] || want == "" || !strings.HasPrefix(reason.Want, want) {
		t.Errorf("%s\nis masked as %s", reason, masked)
	}
	if events.MaskReason(masked) != masked {
		t.Errorf("masked again, %s is %s", masked, events.MaskReason(masked))
	}
}

// TestMaskedReasons shows how they read, also those of texts that were made to
// look like reasons, and of what a person or another program has put there.
func TestMaskedReasons(t *testing.T) {
	const text = "want a text of 1 to 1024 characters, none of them U+0000"
	for reason, want := range map[string]string{
		`data.email: found {"addr":"jane@example.org","pw":"hunter2"}, ` + text:                                     `data.email: found an object, ` + text,
		`data.email: found "hunter2"… (2050 bytes), ` + text:                                                        `data.email: found a text, ` + text,
		`data.email: found ["hunter2", ` + text + `… (4003 bytes), ` + text:                                         `data.email: found a list, ` + text,
		`data.email: found ": found hunter2, want hunter2", ` + text:                                                `data.email: found a text, ` + text,
		`data.sandbox_creates: found -12, want an integer`:                                                          `data.sandbox_creates: found a number, want an integer`,
		`data.gb_hours: found 1.5e7777… (99 bytes), want a decimal`:                                                 `data.gb_hours: found a number, want a decimal`,
		`data.gb_hours: found a sum of 1000000000000.5, want less`:                                                  `data.gb_hours: found too large a sum, want less`,
		`data.metadata: found 70000 bytes, want a JSON object`:                                                      `data.metadata: found too many bytes, want a JSON object`,
		`time: found "hunter2", which is no UTF-8, want a time`:                                                     `time: found a text, want a time`,
		`partitionkey: found "hunter2", want the last token of the subject, "3c90c3cc-0d44-4b50-8888-8dd25736052a"`: `partitionkey: found a text, want the last token of the subject`,
		`data.id: found "hunter2", want the subject's tier, "gold"`:                                                 `data.id: found a text, want the subject's tier`,
		`data.team_id: found 64c38c41-1961-4698-82a7-af9eab79b005, want the account's team, 3c90c3cc-0d44-4b50-8888-8dd25736052a`: `data.team_id: found something else, ` +
			`want the account's team`,
		`payload: found duplicate object member name "hunter2" at /data/hunter2, byte 138, want JSON`: `payload: found a name twice, want JSON`,
		`payload: found invalid character 'h' after hunter2, byte 7, want JSON`:                       `payload: found broken JSON, want JSON`,
		`payload: found "hunter2" after the end, want one JSON object`:                                `payload: found more after the end, want one JSON object`,
		`hunter2`: `masked`,
		``:        `masked`,
		`the password is: found hunter2, want it`: `masked`,
		`data.email: found hunter2`:               `masked`,
		"data.x\n: found hunter2, want it":        `masked`,
	} {
		if got := events.MaskReason(reason); got != want {
			t.Errorf("%s\nis masked as %s, want\n%s", reason, got, want)
		}
	}
}

// TestMaskedReasonsHoldNothingOfTheMessage: whatever is found, wherever, and
// whatever it pretends to be.
func TestMaskedReasonsHoldNothingOfTheMessage(t *testing.T) {
	const secret = "hunter2"
	quoted := regexp.MustCompile(`"|\\`)
	n := 0
	for _, s := range []string{secret, secret + ", want " + secret, ": found " + secret + ", want " + secret, `, want "` + secret + `"`,
		"the account's team, " + secret, secret + ", byte 7", secret + " after the end"} {
		inJSON := `"` + quoted.ReplaceAllString(s, `\$0`) + `"`
		for _, m := range []events.Message{
			structured("user.email_changed.v1", `{"email":[`+inJSON+`]}`),
			structured("user.email_changed.v1", `{"email":{`+inJSON+`:1}}`),
			structured("user.email_changed.v1", `{`+inJSON+`:1,`+inJSON+`:2}`),
			structured("user.email_changed.v1", inJSON),
			structured("user.email_changed.v1", `{}} `+inJSON),
			structured("user.email_changed.v1", `{`+inJSON+`:hunter2}`),
			structured("team.created.v1", `{"id":`+inJSON+`}`),
			structured("sandbox.created.v1", `{"id":"1","template":"t","metadata":`+inJSON+`}`),
			structured("user.deletion_scheduled.v1", `{"delete_scheduled_at":`+inJSON+`}`),
			{Subject: "controlplane.account." + s, Data: []byte(`{}`)},
			{Subject: "controlplane.quota_tier.gold", Data: []byte(inJSON)},
		} {
			_, _, err := events.Decode(m)
			var reason *events.Invalid
			if !errors.As(err, &reason) {
				t.Fatalf("%s: %v", m.Data, err)
			}
			checkMasked(t, reason)
			if strings.Contains(reason.Masked(), secret) {
				t.Errorf("%s\nis masked as %s", reason, reason.Masked())
			}
			n++
		}
	}
	if n != 77 {
		t.Errorf("%d messages were refused", n)
	}
}

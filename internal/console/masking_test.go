package console

import "testing"

// TestTextsAreMaskedUnlessTheyAreKnown: of what people make up only the kind is told, also of
// a field that nobody has decided on; with full everything is as it is.
func TestTextsAreMaskedUnlessTheyAreKnown(t *testing.T) {
	for _, test := range []struct{ field, value, masked string }{
		{"name", `"Zoë <b>"`, `"masked: text of 7 characters"`},
		{"email", `"zoe@example.org"`, `"masked: text of 15 characters"`},
		{"a_field_of_tomorrow", `"secret"`, `"masked: text of 6 characters"`},
		{"metadata", `{"secret":"a","b":{"c":"secret"}}`, `"masked: object of 2 members"`},
		{"flags", `["secret",1]`, `"masked: list of 2"`},
		{"name", ` "secret`, `"masked"`}, // not even what cannot be read
		{"metadata", `{"secret"`, `"masked"`},
		{"flags", `["secret"`, `"masked"`},
		{"id", `"key_1"`, `"key_1"`},
		{"status", `"active"`, `"active"`},
		{"created_at", `"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00Z"`},
		{"looked_at", `"by Zoë"`, `"masked: text of 6 characters"`}, // not what the field's name says
		{"used", `12.5`, `12.5`},
		{"enabled", `true`, `true`},
		{"name", `null`, `null`},
		{"name", `""`, `""`},
		{"metadata", `{}`, `{}`},
		{"flags", `[]`, `[]`},
	} {
		if got := string(Masked.value(test.field, []byte(test.value))); got != test.masked {
			t.Errorf("%s: %s is shown as %s, want %s", test.field, test.value, got, test.masked)
		}
		if got := string(Privacy("").value(test.field, []byte(test.value))); got != test.masked {
			t.Errorf("without a privacy, %s: %s is shown as %s", test.field, test.value, got)
		}
	}
	if got := string(Full.value("name", []byte(`"Zoë"`))); got != `"Zoë"` {
		t.Errorf("with full: %s", got)
	}
}

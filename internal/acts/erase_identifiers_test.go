package acts

import (
	"testing"

	"accountexport/events"
	"accountexport/projections"
)

// TestNeedles: an account is found by its id and its addresses, however a text spells
// them, and not by the identifiers of others.
func TestNeedles(t *testing.T) {
	id, err := events.ParseUUID("3c90c3cc-0d44-4b50-8888-8dd25736052a")
	if err != nil {
		t.Fatal(err)
	}
	n := newIdentifiers(id, " Ann@Example.org", "", "@example.org", "ann@", "ann")
	if len(n) != 2 {
		t.Fatalf("%q", n)
	}
	for text, want := range map[string]bool{
		"ann@example.org":                          true,
		"ANN@EXAMPLE.ORG":                          true,
		`{"email":"ann@example.org"}`:              true,
		`"\u0061nn@example.org"`:                   true,
		`line\nann@example.org\t`:                  true,
		`{\"email\":\"ann@example.org\"}`:          true,
		"mailto:ann@example.org?x=1":               true,
		"<ann@example.org>.":                       true,
		"(ann@example.org)":                        true,
		"it is ann@example.org.":                   true,
		"it's 'ann@example.org'":                   true,
		"ann%40example.org":                        true,
		"100%, a%6En@example.org":                  true,
		"email=ann@example.org":                    true,
		"to:o'ann@example.org":                     false,
		"joann@example.org":                        false,
		"jo.ann@example.org":                       false,
		"jo-ann@example.org":                       false,
		"ann@example.org.au":                       false,
		"ann@example.organic":                      false,
		"ann@example.org-x.com":                    false,
		"éann@example.org":                         false,
		"joann@example.org, ann@example.org":       true,
		"bob@example.org":                          false,
		"x3C90C3CC-0D44-4B50-8888-8DD25736052Ay":   true,
		"3c90c3cc-0d44-4b50-8888-8dd25736052b":     false,
		"3c90c3cc%2D0d44-4b50-8888-8dd25736052a %": true,
	} {
		if got := n.matchAny([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, m := range []events.Message{
		{Data: []byte(`{"specversion":"1.0","id":"1","source":"/x","type":"controlplane.user.registered.v1","time":"2026-01-01T00:00:00Z","data":{"email":"parked@example.org"}}`)},
		{Data: []byte(`{"email":"parked@example.org"}`)},
	} {
		m.Subject = events.AccountSubject(id)
		d, err := projections.Decode(projections.Message{Position: 1, Message: m})
		if err != nil {
			t.Fatal(err)
		}
		n := newIdentifiers(id)
		if n.addFrom(&d); len(n) != 2 {
			t.Errorf("%s: %q", m.Data, n)
		}
	}
}

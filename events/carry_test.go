package events_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/corpus"
)

// structured puts data into a sound envelope for an account.
func structured(short, data string) events.Message {
	return events.Message{Subject: "controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005",
		Data: fmt.Appendf(nil, `{"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z","type":"controlplane.%s","data":%s}`,
			short, data)}
}

func decode(t *testing.T, m events.Message) events.Event {
	t.Helper()
	e, _, err := events.Decode(m)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Data)
	}
	return e
}

// TestObjectsAreCarriedAsTheyCame: number literals, member order and strings
// are as sent, white space between tokens is gone.
func TestObjectsAreCarriedAsTheyCame(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{`{}`, `{}`},
		{"{\r\n\t }", `{}`},
		{`{ "b" : 1 , "a" : [ 1e400 , -0 , 1.0 , 12345678901234567890 , 1E+2 , 0.10 ] }`,
			`{"b":1,"a":[1e400,-0,1.0,12345678901234567890,1E+2,0.10]}`},
		{`{"": " a  b ", "\u0000": "\u0000", "é": "\u00e9"}`, `{"":" a  b ","\u0000":"\u0000","é":"\u00e9"}`},
		{`{"a":"\ud83d\ude00<>&\u2028\/"}`, `{"a":"\ud83d\ude00<>&\u2028\/"}`},
		{`{"a":{"z":[ ],"y":{ }},"c":[true ,false, null]}`, `{"a":{"z":[],"y":{}},"c":[true,false,null]}`},
	} {
		e := decode(t, structured("sandbox.metadata_updated.v1", `{"id":"s","metadata":`+test.sent+`}`))
		if got := string(e.Data.(*events.SandboxMetadataUpdated).Metadata); got != test.want {
			t.Errorf("metadata %s is carried as %s, want %s", test.sent, got, test.want)
		}
		e = decode(t, structured("user.abuse_flags_changed.v1", `{"flags":{"f": `+test.sent+"\n}}"))
		want := []events.Flag{{Name: "f", Value: []byte(test.want)}}
		if diff := cmp.Diff(want, e.Data.(*events.UserAbuseFlagsChanged).Flags); diff != "" {
			t.Errorf("flag (-want +got):\n%s", diff)
		}
	}
}

func TestFlagsKeepOrderAndNames(t *testing.T) {
	e := decode(t, structured("user.abuse_flags_changed.v1",
		`{"flags": {"z": 1.0, "a": null, "\u0000": "\u0000", "\ud83d\ude00\/": false, "": " x "}}`))
	want := &events.UserAbuseFlagsChanged{Flags: []events.Flag{{Name: "z", Value: []byte(`1.0`)}, {Name: "a"},
		{Name: "\x00", Value: []byte(`"\u0000"`)}, {Name: "😀/", Value: []byte(`false`)}, {Name: "", Value: []byte(`" x "`)}}}
	if diff := cmp.Diff(want, e.Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPatchFieldsTellAbsentFromNull for a patch event; elsewhere the two are
// the same.
func TestPatchFieldsTellAbsentFromNull(t *testing.T) {
	e := decode(t, structured("user.profile_updated.v1", `{"name":null,"avatar_url":""}`))
	if diff := cmp.Diff(&events.UserProfileUpdated{Name: events.Clear[string](), AvatarURL: events.Some("")}, e.Data); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
	for _, data := range []string{`{"id":"s","template":"t"}`, `{"id":"s","template":"t","status":null,"metadata":null}`} {
		e = decode(t, structured("sandbox.created.v1", data))
		if diff := cmp.Diff(&events.SandboxCreated{ID: "s", Template: "t"}, e.Data); diff != "" {
			t.Errorf("%s (-want +got):\n%s", data, diff)
		}
	}
	e = decode(t, structured("sandbox.created.v1", `{"id":"s","template":"t","status":""}`))
	if status := e.Data.(*events.SandboxCreated).Status; status == nil || *status != "" {
		t.Errorf("an empty status is read as %v", status)
	}
}

// TestDataBeforeType: the order of a structured event's members is free.
func TestDataBeforeType(t *testing.T) {
	m := structured("user.restored.v1", "{}")
	m.Data = []byte(`{"data":{"email":"a@example.com"},"type":"controlplane.user.email_changed.v1","time":"2026-03-25T07:10:47Z",` +
		`"source":"/s","id":"1","specversion":"1.0"}`)
	if diff := cmp.Diff(&events.UserEmailChanged{Email: "a@example.com"}, decode(t, m).Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTypeIsTold also where the message is refused, so that it can be counted.
func TestTypeIsTold(t *testing.T) {
	const typ = events.TypeUserRestored
	for _, test := range []struct {
		name, payload, want string
		sound               bool
	}{
		{"bad data", `{"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z","type":"` + typ + `","data":[]}`, typ, true},
		{"a bad attribute", `{"specversion":"2","id":"1","type":"` + typ + `"}`, typ, false},
		{"a type that is no text", `{"specversion":"1.0","type":7}`, "", false},
		{"no JSON", `{"type":"` + typ + `"`, "", false},
	} {
		m := structured("", "")
		m.Data = []byte(test.payload)
		e, to, err := events.Decode(m)
		if err == nil || e.Type != test.want || e.Sound != test.sound || to.Kind != events.SubjectAccount {
			t.Errorf("%s: type %q, sound %t, to %v, %v", test.name, e.Type, e.Sound, to, err)
		}
	}
}

// TestEventOutlivesItsMessage: what was decoded stays as it is when the
// payload's memory is used again.
func TestEventOutlivesItsMessage(t *testing.T) {
	g := newGenerator(5)
	for _, typ := range events.Types() {
		for range 20 {
			m, _ := g.any(t, typ, g.meta(), g.uuid())
			kept := events.Message{Subject: m.Subject, Header: m.Header, Data: []byte(strings.Clone(string(m.Data)))}
			e := decode(t, m)
			for i := range m.Data {
				m.Data[i] = 'x'
			}
			if diff := cmp.Diff(decode(t, kept), e); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			binary, err := kept.Binary()
			if err != nil {
				t.Fatal(err)
			}
			first := decode(t, binary)
			next, _ := g.any(t, typ, g.meta(), g.uuid())
			if next, err = next.Binary(); err != nil {
				t.Fatal(err)
			}
			decode(t, next) // its headers are read into memory that the first one's were in
			if diff := cmp.Diff(e, first); diff != "" {
				t.Fatalf("(-structured +binary):\n%s", diff)
			}
		}
	}
}

// TestDecodeConcurrently decodes sound and broken messages at once, for the
// race detector and for memory that is reused.
func TestDecodeConcurrently(t *testing.T) {
	hostile := corpus.Read(t, "testdata/hostile")
	var group sync.WaitGroup
	for part := range 4 {
		group.Go(func() {
			g := newGenerator(uint64(part))
			for _, h := range hostile {
				if e, _, err := events.Decode(h.Message); verdictOf(e, err) != verdict(h.Want) {
					t.Errorf("%s: %v", h.Name, err)
				}
				typ := events.Types()[g.IntN(len(events.Types()))]
				m, want := g.any(t, typ, g.meta(), g.uuid())
				if e, _, err := events.Decode(m); err != nil || !cmp.Equal(want, e.Data) {
					t.Errorf("%s: %v", typ, err)
				}
			}
		})
	}
	group.Wait()
}

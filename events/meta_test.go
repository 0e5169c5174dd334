package events_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestNewMeta: each is another event, of now.
func TestNewMeta(t *testing.T) {
	before := events.TimeOf(time.Now())
	seen := map[string]bool{}
	for range 1000 {
		m := events.NewMeta("/control-plane/api")
		if id, err := events.ParseUUID(m.ID); err != nil || id.String() != m.ID {
			t.Fatalf("the id is %q, %v", m.ID, err)
		}
		if seen[m.ID] {
			t.Fatalf("%s comes twice", m.ID)
		}
		seen[m.ID] = true
		if after := events.TimeOf(time.Now()); m.Time < before || m.Time > after || m.Source != "/control-plane/api" {
			t.Fatalf("%+v was made between %s and %s", m, before, after)
		}
	}
}

// TestNeverSetIsStillRead: what constructors refuse of values that were never set,
// Decode accepts, as the contract says: events that are in the stream stay valid.
func TestNeverSetIsStillRead(t *testing.T) {
	for _, at := range []string{"1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		m := events.Message{Subject: "controlplane.account.00000000-0000-0000-0000-000000000000", Data: []byte(`{"specversion":"1.0","id":"1","source":"/s",` +
			`"time":"` + at + `","type":"controlplane.team.soft_deleted.v1","data":{"id":"00000000-0000-0000-0000-000000000000"}}`)}
		e, to, err := events.Decode(m)
		if err != nil || to.Account != (events.UUID{}) || e.Time.String() != at {
			t.Errorf("%+v to %v, %v", e, to, err)
		}
		if diff := cmp.Diff(events.Payload(&events.TeamSoftDeleted{}), e.Data); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestNATSHeader: the message's header with its id, and the message stays as it is.
func TestNATSHeader(t *testing.T) {
	m, err := events.NewAccountErased(events.Meta{ID: "e-1", Source: "/s", Time: 1}, events.NewUUID())
	if err != nil {
		t.Fatal(err)
	}
	binary, err := m.Binary()
	if err != nil {
		t.Fatal(err)
	}
	const structured = "application/cloudevents+json"
	for _, test := range []struct {
		name      string
		got, want map[string][]string
	}{
		{"structured", m.NATSHeader(), map[string][]string{"Content-Type": {structured}, "Nats-Msg-Id": {"e-1"}}},
		{"another id", m.NATSHeaderWithID("x"), map[string][]string{"Content-Type": {structured}, "Nats-Msg-Id": {"x"}}},
		{"no id", m.NATSHeaderWithID(""), map[string][]string{"Content-Type": {structured}}},
		{"no event", events.Message{Data: []byte("hello")}.NATSHeader(), nil},
		{"from the stream, with another's id", events.Message{Header: map[string][]string{"Nats-Msg-Id": {"old"}, "Content-Type": {structured}},
			Data: m.Data}.NATSHeader(), map[string][]string{"Content-Type": {structured}, "Nats-Msg-Id": {"e-1"}}},
		{"the message's own, afterwards", m.Header, map[string][]string{"Content-Type": {structured}}},
	} {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	h := binary.NATSHeader()
	if got := h[events.MsgIDHeader]; len(got) != 1 || got[0] != "e-1" || len(h) != len(binary.Header)+1 {
		t.Errorf("a binary message is published with %v", h)
	}
}

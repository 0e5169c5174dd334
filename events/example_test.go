package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// A new account takes three events: its user, its team, and the quota tier that the
// team names. The tier is shared, so it is published once for all accounts.
func Example() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005") // the sub of the user's access token
	if err != nil {
		fmt.Println(err)
		return
	}
	team, err := events.ParseUUID("0b2f1f6e-5a4c-4c0e-9a53-0c1d2e3f4a5b")
	if err != nil {
		fmt.Println(err)
		return
	}
	hours, err := events.ParseDecimal("100.5")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := events.TimeOf(time.Date(2026, time.March, 25, 7, 11, 48, 0, time.UTC))
	meta := func(id string) events.Meta { return events.Meta{ID: id, Source: "/control-plane/api", Time: at} }
	for _, construct := range []func() (events.Message, error){
		func() (events.Message, error) {
			return events.NewQuotaTierDefined(meta("tier-free-1"),
				events.QuotaTierDefined{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 3, DailySandboxCreates: 50, DailyGBHours: hours})
		},
		func() (events.Message, error) {
			return events.NewUserRegistered(meta("user-1"), account,
				events.UserRegistered{Email: "someone@example.org", Tier: "free", QuotaTierID: "free"})
		},
		func() (events.Message, error) {
			return events.NewTeamCreated(meta("team-1"), account,
				events.TeamCreated{ID: team, Name: "My team", Slug: "my-team", QuotaTierID: "free"})
		},
	} {
		m, err := construct()
		if err != nil { // what the projector would park is refused here
			fmt.Println(err)
			return
		}
		fmt.Println(m.EventID(), "on", m.Subject)
	}
	// Output:
	// tier-free-1 on controlplane.quota_tier.free
	// user-1 on controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005
	// team-1 on controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005
}

// A message is a subject, a header and a payload, which is one CloudEvent. NATSHeader
// adds its event's id as Nats-Msg-Id, so that JetStream drops a retry. With a
// connection, js.PublishMsg(ctx, msg) sends it, and waits for the acknowledgement.
func ExampleMessage_NATSHeader() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := events.TimeOf(time.Date(2026, time.March, 25, 7, 11, 48, 0, time.UTC))
	m, err := events.NewSandboxStarted(events.Meta{ID: "sandbox-started-1", Source: "/control-plane/api", Time: at}, account,
		events.SandboxStarted{ID: "sbx_1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	msg := &nats.Msg{Subject: m.Subject, Header: m.NATSHeader(), Data: m.Data}
	var payload bytes.Buffer
	if err := json.Indent(&payload, msg.Data, "", "  "); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(msg.Subject)
	fmt.Println(msg.Header)
	fmt.Println(payload.String())
	// Output:
	// controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005
	// map[Content-Type:[application/cloudevents+json] Nats-Msg-Id:[sandbox-started-1]]
	// {
	//   "specversion": "1.0",
	//   "id": "sandbox-started-1",
	//   "source": "/control-plane/api",
	//   "type": "controlplane.sandbox.started.v1",
	//   "time": "2026-03-25T07:11:48Z",
	//   "partitionkey": "64c38c41-1961-4698-82a7-af9eab79b005",
	//   "datacontenttype": "application/json",
	//   "data": {
	//     "id": "sbx_1"
	//   }
	// }
}

// An event of now takes its id and time from NewMeta, and what it creates its id from
// NewUUID. A retry publishes the same message, so it has the same id.
func ExampleNewMeta() {
	account, team := events.NewUUID(), events.NewUUID()
	m, err := events.NewTeamCreated(events.NewMeta("/control-plane/api"), account,
		events.TeamCreated{ID: team, Name: "My team", Slug: "my-team", QuotaTierID: "free"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.EventID() != "", m.NATSHeader()[events.MsgIDHeader][0] == m.EventID())

	_, err = events.NewTeamCreated(events.Meta{ID: "team-1", Source: "/control-plane/api"}, account, // Time was forgotten
		events.TeamCreated{ID: team, Name: "My team", Slug: "my-team", QuotaTierID: "free"})
	fmt.Println(err)
	// Output:
	// true true
	// time: found "1970-01-01T00:00:00Z", want the time when it happened, not the zero value of a time
}

// JetStream acknowledges a message once the stream has it. The sequence is the
// event's position, also where the message came a second time.
func Example_acknowledgement() {
	for _, answer := range []string{
		`{"stream":"CONTROL_PLANE","seq":4711}`,
		`{"stream":"CONTROL_PLANE","seq":4711,"duplicate":true}`, // a retry, after the first answer was lost
	} {
		var ack jetstream.PubAck // what js.PublishMsg returns
		if err := json.Unmarshal([]byte(answer), &ack); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(ack.Stream, ack.Sequence, ack.Duplicate)
	}
	// Output:
	// CONTROL_PLANE 4711 false
	// CONTROL_PLANE 4711 true
}

// Whoever has published an event gets a document that holds it by asking for its
// position. The answer is 503 where the projector has not come there in time.
func Example_waitingForADocument() {
	ack := jetstream.PubAck{Stream: "CONTROL_PLANE", Sequence: 4711}
	req, err := http.NewRequest(http.MethodGet, "https://api.example.com/v1/account/export", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	query := req.URL.Query()
	query.Set("min_position", strconv.FormatUint(ack.Sequence, 10))
	req.URL.RawQuery = query.Encode()
	req.Header.Set("Authorization", "Bearer "+"the user's access token")
	req.Header.Set("Prefer", "wait=10") // seconds, at most 10
	fmt.Println(req.Method, req.URL)
	// Output:
	// GET https://api.example.com/v1/account/export?min_position=4711
}

// What the projector would park, a constructor refuses, and says which field, what
// was found there, and what would be right.
func ExampleInvalid() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := events.TimeOf(time.Date(2026, time.March, 25, 7, 11, 48, 0, time.UTC))
	_, err = events.NewUserEmailChanged(events.Meta{ID: "email-1", Source: "/control-plane/api", Time: at}, account, events.UserEmailChanged{})
	var invalid *events.Invalid
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Field)
		fmt.Println(invalid)
	}
	// Output:
	// data.email
	// data.email: found "", want a text of 1 to 1024 characters, none of them U+0000
}

// A patch changes the fields that it names: one that is absent stays, and one that is
// null is cleared.
func ExampleOptional() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := events.TimeOf(time.Date(2026, time.March, 25, 7, 11, 48, 0, time.UTC))
	m, err := events.NewUserProfileUpdated(events.Meta{ID: "profile-1", Source: "/control-plane/api", Time: at}, account,
		events.UserProfileUpdated{Name: events.Some("New name"), AvatarURL: events.Clear[string]()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var event struct{ Data json.RawMessage }
	if err := json.Unmarshal(m.Data, &event); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", event.Data)
	// Output:
	// {"name":"New name","avatar_url":null}
}

func ExampleDecode() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		fmt.Println(err)
		return
	}
	at, err := events.ParseTime("2026-03-25T09:10:47.5+02:00")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := events.NewSandboxCreated(events.Meta{ID: "e-1", Source: "/control-plane/api", Time: at}, account,
		events.SandboxCreated{ID: "sbx_1", Template: "base", Metadata: []byte(`{"cpu": 2.0}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	e, to, err := events.Decode(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	created := e.Data.(*events.SandboxCreated)
	fmt.Println(m.Subject)
	fmt.Println(e.Time, events.ShortType(e.Type), to.Account == account)
	fmt.Printf("%s %s %s\n", created.ID, created.Template, created.Metadata)

	m.Data = []byte(`{"specversion":"1.0","id":"e-2","source":"/control-plane/api","time":"yesterday"}`)
	_, _, err = events.Decode(m)
	fmt.Println(err)
	// Output:
	// controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005
	// 2026-03-25T07:10:47.5Z sandbox.created.v1 true
	// sbx_1 base {"cpu":2.0}
	// type: found nothing, want a text that is not empty
}

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"accountexport/events"
	"accountexport/internal/local/documents"
)

// documentedUsers is the configuration of users in doc/security.md, with their passwords.
func documentedUsers(t *testing.T, change func(config string) string) (config string) {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path == "doc/security.md" && strings.Contains(b.Text, "authorization {") {
				config = b.Text
			}
		}
	}
	if config == "" {
		t.Fatal("doc/security.md has no users for a NATS server")
	}
	config = regexp.MustCompile(`\$[A-Z]+_PASSWORD`).ReplaceAllString(change(config), `"hunter2"`)
	return "jetstream: enabled\n" + config
}

// attempts are what a NATS user may try, by the column of the table in doc/security.md.
// Each publishes a request that changes nothing where it is permitted, or subscribes.
var attempts = map[string][]struct{ publish, payload, subscribe string }{
	"publish events": {
		{publish: "controlplane.account." + someone, payload: "{}"},
		{publish: "controlplane.quota_tier.free", payload: "{}"},
	},
	"read the stream": {
		{publish: "$JS.API.STREAM.INFO.CONTROL_PLANE"},
		{publish: "$JS.API.STREAM.MSG.GET.CONTROL_PLANE", payload: `{"seq":1}`},
		{publish: "$JS.API.CONSUMER.CREATE.CONTROL_PLANE.x", payload: `{}`},
	},
	"hear what others read": {{subscribe: "_INBOX.>"}},
	"remove messages": {
		{publish: "$JS.API.STREAM.PURGE.CONTROL_PLANE", payload: `{"filter":"controlplane.0.account.nobody"}`},
		{publish: "$JS.API.STREAM.MSG.DELETE.CONTROL_PLANE", payload: `{"seq":999999}`},
	},
	"change the stream": {
		{publish: "$JS.API.STREAM.UPDATE.CONTROL_PLANE", payload: "{}"},
		{publish: "$JS.API.STREAM.DELETE.CONTROL_PLANE", payload: "{}"},
		{publish: "$JS.API.STREAM.CREATE.ANOTHER", payload: "{}"},
		{publish: "$JS.API.STREAM.RESTORE.ANOTHER", payload: "{}"},
		{publish: "$JS.API.STREAM.SNAPSHOT.CONTROL_PLANE", payload: "{}"},
	},
	"anything else": {
		{subscribe: "controlplane.>"}, {subscribe: ">"}, {subscribe: "$JS.>"}, {subscribe: "$SYS.>"}, {subscribe: "$JS.EVENT.ADVISORY.>"},
		{publish: "controlplane.0.account." + someone, payload: "{}"}, {publish: "controlplane.another.x"}, {publish: "_INBOX.x"}, {publish: "$SYS.REQ.SERVER.PING"},
		{publish: "$JS.API.ACCOUNT.PURGE.X"}, {publish: "$JS.API.DIRECT.GET.CONTROL_PLANE.x"},
	},
}

// TestNATSUsersReachWhatTheirProgramsNeed: the users of doc/security.md may do what its
// table says, and the test tries all the rest. Their programs work by them.
func TestNATSUsersReachWhatTheirProgramsNeed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishComplete(t, uuid(t, someone))
	if err := s.nats.Reconfigure(t.Context(), documentedUsers(t, func(c string) string { return c })); err != nil {
		t.Fatal(err)
	}
	columns, rows := table(t, "### NATS users")
	if len(rows) < 4 || len(columns) != len(attempts)+1 {
		t.Fatalf("the table has the columns %q", columns)
	}
	for _, cells := range rows {
		name := strings.Trim(cells[0], "`")
		for i, column := range columns[1:] {
			tries := attempts[column]
			if len(tries) == 0 {
				t.Errorf("no attempt is %q", column)
			}
			for _, a := range tries {
				if got, want := mayByNATS(t, s.nats.URL(), name, a.publish, a.payload, a.subscribe), cells[i+1] == "yes"; got != want {
					t.Errorf("%s: %s%s: may it: %v, want %v", name, a.publish, a.subscribe, got, want)
				}
			}
		}
	}
	as := func(user string) map[string]string {
		settings := maps.Clone(s.settings)
		settings["NATS_USER"], settings["NATS_PASSWORD"] = user, "hunter2"
		return settings
	}
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	projector := launch(t, "projector", as("run"), "run")
	producer, err := nats.Connect(s.nats.URL(), nats.UserInfo("producer", "hunter2"), nats.CustomInboxPrefix("_INBOX_producer"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	m, err := events.NewUserProfileUpdated(newMeta("by the producer"), uuid(t, someone), events.UserProfileUpdated{Name: events.Some("Changed")})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := producer.RequestMsg(&nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header(m.NATSHeader())}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var ack struct{ Seq uint64 }
	if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Seq == 0 {
		t.Fatalf("the producer is answered %s (%v)", answer.Data, err)
	}
	waitAtPosition(t, url, mintToken(t, uuid(t, someone)), ack.Seq)
	if out, status := command(t, "projector", as("operator"), "erase", "--account", someone, "--yes"); status != 0 {
		t.Errorf("erase by the operator's user: exit %d: %s", status, out)
	}
	projector.stop(t)
}

// mayByNATS tells whether the user may publish, or subscribe.
func mayByNATS(t *testing.T, url, user, publish, payload, subscribe string) bool {
	t.Helper()
	nc, err := nats.Connect(url, nats.UserInfo(user, "hunter2"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	defer nc.Close()
	if subscribe != "" {
		_, err = nc.SubscribeSync(subscribe)
	} else {
		err = nc.Publish(publish, []byte(payload))
	}
	if err == nil {
		err = nc.FlushTimeout(10 * time.Second) // a refusal comes before the answer to this
	}
	if err != nil {
		t.Fatalf("%s: %v", user, err)
	}
	return !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// TestWhoHearsInboxesHearsAllEvents: why producers answer under a prefix of their own.
// One that may subscribe to _INBOX.> is sent what the projector reads; the producer
// of doc/security.md is not.
func TestWhoHearsInboxesHearsAllEvents(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.publishMarked(t, someone, 3)
	config := documentedUsers(t, func(c string) string {
		careless := strings.Replace(c, "users: [", `users: [ { user: careless, password: "hunter2", permissions: { publish: ["controlplane.account.*"], subscribe: ["_INBOX.>"] } }`+"\n", 1)
		if careless == c {
			t.Fatal("the users of doc/security.md are not where they were")
		}
		return careless
	})
	if err := s.nats.Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	heard := map[string]chan struct{}{"careless": make(chan struct{}, 1000), "producer": make(chan struct{}, 1000)}
	for user, marked := range heard {
		nc, err := nats.Connect(s.nats.URL(), nats.UserInfo(user, "hunter2"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, subject := range []string{"_INBOX.>", "_INBOX_producer.>"} {
			if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
				if strings.Contains(string(m.Data), marker) {
					marked <- struct{}{}
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	settings := maps.Clone(s.settings)
	settings["NATS_USER"], settings["NATS_PASSWORD"] = "run", "hunter2"
	projector := launch(t, "projector", settings, "run")
	eventually(t, "everything is folded", time.Minute, func(ctx context.Context) error {
		var n int
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM export_g1.account_export`).Scan(&n)
		if err == nil && n == 0 {
			err = errors.New("no account is there")
		}
		return err
	})
	eventually(t, "the careless producer hears it", 30*time.Second, func(context.Context) error {
		if len(heard["careless"]) == 0 {
			return fmt.Errorf("it has heard nothing")
		}
		return nil
	})
	if n := len(heard["producer"]); n > 0 {
		t.Errorf("the producer of doc/security.md has heard %d events", n)
	}
	projector.stop(t)
}

// TestAProducerCanEraseFromTheDocumentsAlone: what a producer's user is worth to a thief.
// An erased event of its own takes the account's document away, for good; the
// account's messages stay in the stream.
func TestAProducerCanEraseFromTheDocumentsAlone(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	account := uuid(t, someone)
	s.publishComplete(t, account)
	projector := s.startProjector(t)
	s.waitProjected(t)
	url, _ := startAPI(t, map[string]string{"DATABASE_URL": s.database})
	token := mintToken(t, account)
	if status, _, body, err := get(t.Context(), url, token); err != nil || status != http.StatusOK {
		t.Fatalf("%d %v: %s", status, err, body)
	}
	before := len(s.readMessages(t))
	s.publishErased(t, someone)
	s.publishProfile(t, account, "comes back")
	s.waitProjected(t)
	if status, _, body, err := get(t.Context(), url, token); err != nil || status != http.StatusGone {
		t.Errorf("%d %v: %s", status, err, body)
	}
	if after := len(s.readMessages(t)); after != before+2 {
		t.Errorf("the stream had %d messages, and has %d: two more are its own", before, after)
	}
	projector.stop(t)
}

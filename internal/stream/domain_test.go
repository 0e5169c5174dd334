package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/port"
	"accountexport/projections"
)

// TestJetStreamElsewhere: every request to JetStream goes to the domain or prefix
// that is set: in the server's own domain, from a leaf node to the hub's (with and
// without JetStream on the leaf), and imported from another account.
func TestJetStreamElsewhere(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(t *testing.T) Config{
		"the server's own domain": func(t *testing.T) Config {
			return Config{URL: natsserver.ForTestWith(t, `jetstream { domain: hub }`).URL(), Domain: "hub"}
		},
		"the hub of a leaf node with a domain of its own": func(t *testing.T) Config {
			return Config{URL: leafNodeURL(t, `jetstream { domain: leaf }`), Domain: "hub"}
		},
		"the hub of a leaf node without JetStream": func(t *testing.T) Config {
			return Config{URL: leafNodeURL(t, ``), Domain: "hub"}
		},
		"another account": func(t *testing.T) Config {
			srv := natsserver.ForTestWith(t, `jetstream: enabled
				accounts {
					OWNER { jetstream: enabled, users: [ { user: owner, password: owner } ]
						exports: [ { service: "$JS.API.>", response_type: stream }, { service: "controlplane.>" } ] }
					READER { users: [ { user: reader, password: reader } ]
						imports: [ { service: { account: OWNER, subject: "$JS.API.>" }, to: "JS.owner.API.>" }, { service: { account: OWNER, subject: "controlplane.>" } } ] }
				}`)
			return Config{URL: srv.URL(), Prefix: "JS.owner.API", User: "reader", Password: "reader"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			cfg := connect(t)
			cfg.ConnectTimeout = time.Minute
			c, err := Connect(ctx, cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			waitForJetStream(ctx, t, c)
			if res, err := c.Provision(ctx); err != nil || !res.Created {
				t.Fatalf("%+v, %v", res, err)
			}
			if res, err := c.Provision(ctx); err != nil || res.Created {
				t.Fatalf("%+v, %v", res, err)
			}
			if err := c.CanRead(ctx); err != nil {
				t.Error(err)
			}
			if strings.HasSuffix(name, "a domain of its own") { // JetStream is there, and the stream is not
				near, err := Connect(ctx, Config{URL: cfg.URL, Domain: "leaf"})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(near.Close)
				if there, err := near.Exists(ctx); there || err != nil {
					t.Errorf("the leaf node has the stream: %v, %v", there, err)
				}
			}
			r := open(ctx, t, c, 0)
			publishNotes(ctx, t, c, 1, 200)
			if all := readUpTo(ctx, t, r, 200); len(all) != 200 {
				t.Errorf("read %d messages", len(all))
			}
			if _, _, err := c.Publish(ctx, events.Message{Subject: note(1).Subject, Data: []byte("more")}); err != nil {
				t.Error(err)
			}
			if missing := c.CanErase(ctx, account(1)); len(missing) > 0 {
				t.Errorf("missing: %v", missing)
			}
			if n, err := c.PurgeAccount(ctx, account(1), 0, func(context.Context, []uint64) error { return nil }); err != nil || n != 5 {
				t.Errorf("removed %d messages of an account: %v", n, err)
			}
			if _, gone, err := c.Deleted(ctx); err != nil || gone.Count() != 5 {
				t.Errorf("gone are %v: %v", gone, err)
			}
			if _, err := c.js.CreateStream(ctx, jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
				t.Fatal(err)
			}
			if copies, err := c.Copies(ctx); err != nil || !slices.Equal(copies, []string{"MIRROR"}) {
				t.Errorf("copies are %v: %v", copies, err)
			}
			n := 0
			if err := c.ReadAll(ctx, func(projections.Message) error { n++; return nil }); err != nil || n != 196 {
				t.Errorf("read %d messages: %v", n, err)
			}
		})
	}
}

// TestPermissionsElsewhere: under a domain and under a prefix, a missing permission
// is named with the subject that the connected server checks.
func TestPermissionsElsewhere(t *testing.T) {
	t.Parallel()
	users := func(prefix string) string {
		may := fmt.Sprintf(`"%[1]s.STREAM.*.CONTROL_PLANE", "%[1]s.STREAM.MSG.GET.CONTROL_PLANE", "%[1]s.CONSUMER.CREATE.CONTROL_PLANE.>", "%[1]s.CONSUMER.DELETE.CONTROL_PLANE.>"`, prefix)
		return fmt.Sprintf(`[ { user: whole, password: p, permissions: { publish: [ %[1]s, "%[2]s.CONSUMER.MSG.NEXT.CONTROL_PLANE.>" ], subscribe: "_INBOX.>" } }
			{ user: lacking, password: p, permissions: { publish: [ %[1]s ], subscribe: "_INBOX.>" } } ]`, may, prefix)
	}
	for _, tc := range []struct {
		name, url string
		cfg       Config
		judged    string // prefix of the subjects that the server checks
	}{
		{"the server's own domain", natsserver.ForTestWith(t, "jetstream { domain: hub }\nauthorization { users: "+users("$JS.API")+" }").URL(), Config{Domain: "hub"}, "$JS.API"},
		{"a hub's domain", leafNodeURL(t, "authorization { users: "+users("$JS.hub.API")+" }"), Config{Domain: "hub"}, "$JS.hub.API"},
		{"another account", natsserver.ForTestWith(t, `jetstream: enabled
			accounts {
				OWNER { jetstream: enabled, users: [ { user: owner, password: owner } ], exports: [ { service: "$JS.API.>", response_type: stream } ] }
				READER { users: `+users("JS.owner.API")+`, imports: [ { service: { account: OWNER, subject: "$JS.API.>" }, to: "JS.owner.API.>" } ] }
			}`).URL(), Config{Prefix: "JS.owner.API"}, "JS.owner.API"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			as := func(user string) *Client {
				cfg := tc.cfg
				cfg.URL, cfg.User, cfg.Password, cfg.ConnectTimeout = tc.url, user, "p", time.Minute
				c, err := Connect(ctx, cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				return c
			}
			whole := as("whole")
			waitForJetStream(ctx, t, whole)
			if _, err := whole.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			if err := whole.CanRead(ctx); err != nil {
				t.Error(err)
			}
			lacking := as("lacking")
			want := "no permission to publish on " + tc.judged + ".CONSUMER.MSG.NEXT.CONTROL_PLANE.>"
			if err := lacking.CanRead(ctx); err == nil || !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; want %q in it", err, want)
			}
			r := open(ctx, t, lacking, 0)
			if _, err := r.Next(ctx, nil, bound); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("reading: %v; want %q in it", err, want)
			}
		})
	}
}

// waitForJetStream waits until JetStream answers; a leaf node takes a while to connect.
func waitForJetStream(ctx context.Context, t *testing.T, c *Client) {
	t.Helper()
	for {
		_, err := c.Exists(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "nobody answers on ") {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// leafNodeURL starts a leaf node of this configuration, connected to a hub whose JetStream
// has the domain hub, and returns its URL.
func leafNodeURL(t *testing.T, config string) string {
	t.Helper()
	listen, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	natsserver.ForTestWith(t, fmt.Sprintf("server_name: hub\njetstream { domain: hub }\nleafnodes { listen: \"127.0.0.1:%d\" }\n", listen))
	return natsserver.ForTestWith(t, fmt.Sprintf("server_name: leaf\n%s\nleafnodes { remotes: [ { url: \"nats://127.0.0.1:%d\" } ] }\n", config, listen)).URL()
}

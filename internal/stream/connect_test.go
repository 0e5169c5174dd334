package stream

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/port"
)

// TestConnectingBySomething: each way to authenticate works for reading and
// publishing, on a server that accepts only that way.
func TestConnectingBySomething(t *testing.T) {
	t.Parallel()
	cert := natsserver.CertificatesForTest(t)
	creds, withJWT := natsserver.CredsForTest(t)
	seed, public := natsserver.NKeyForTest(t)
	for _, tc := range []struct {
		name, config string
		cfg          Config
	}{
		{"user and password", `authorization { user: u, password: hunter2 }`, Config{User: "u", Password: "hunter2"}},
		{"token", `authorization { token: hunter2 }`, Config{Token: "hunter2"}},
		{"nkey", `authorization { users: [ { nkey: ` + public + ` } ] }`, Config{NKey: seed}},
		{"credentials", withJWT, Config{Creds: creds}},
		{"TLS", cert.TLS(false), Config{CA: cert.CA}},
		{"client certificate", cert.TLS(true), Config{CA: cert.CA, Cert: cert.ClientCert, Key: cert.ClientKey}},
		{"TLS first", strings.Replace(cert.TLS(false), "{", "{ handshake_first: true,", 1), Config{CA: cert.CA, TLSFirst: true}},
		{"inboxes of its own", `authorization { users: [ { user: u, password: hunter2, permissions: { subscribe: "_INBOX_u.>" } } ] }`,
			Config{User: "u", Password: "hunter2", InboxPrefix: "_INBOX_u"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			srv := natsserver.ForTestWith(t, "jetstream: enabled\n"+tc.config)
			tc.cfg.URL, tc.cfg.ConnectTimeout = srv.URL(), time.Minute
			c, err := Connect(ctx, tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			if _, err := c.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			publishNotes(ctx, t, c, 1, 3)
			readUpTo(ctx, t, open(ctx, t, c, 0), 3)
		})
	}
}

// TestConnectingSaysWhy: the error of a failed connection names the server that was
// tried, what is wrong with it and which setting would be right, and never a secret.
func TestConnectingSaysWhy(t *testing.T) {
	t.Parallel()
	cert, other := natsserver.CertificatesForTest(t), natsserver.CertificatesForTest(t)
	creds, withJWT := natsserver.CredsForTest(t)
	otherCreds, _ := natsserver.CredsForTest(t)
	seed, _ := natsserver.NKeyForTest(t)
	_, public := natsserver.NKeyForTest(t)
	password := `authorization { user: u, password: right }`
	closed, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	nobody := fmt.Sprintf("127.0.0.1:%d", closed)
	for _, tc := range []struct {
		name   string
		config string // of the server; or
		// url is the address of something that is no such server.
		url  string
		cfg  Config
		says []string
	}{
		{"nobody listens", "", "nats://u:hunter2@" + nobody, Config{}, []string{nobody, "nobody listens there", "NATS_URL"}},
		{"no such host", "", "nats://no-such-host.invalid:4222", Config{}, []string{"no-such-host.invalid", "NATS_URL"}},
		{"several", "", "nats://" + nobody + ",nats://" + serveText(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), Config{},
			[]string{nobody + ": nobody listens there", ": what answers there is no NATS server"}},
		{"a web server", "", "nats://" + serveText(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), Config{}, []string{"what answers there is no NATS server", "NATS_URL"}},
		{"SSH", "", "nats://" + serveText(t, "SSH-2.0-OpenSSH_9.2p1\r\n"), Config{}, []string{"what answers there is no NATS server"}},
		{"somebody who waits", "", "nats://" + serveText(t, ""), Config{}, []string{"accepts connections, and says nothing for 2s", "NATS_URL"}},
		{"somebody who hangs up", "", "nats://" + hangsUp(t), Config{}, []string{"ends the connection at once"}},
		{"nobody said who", password, "", Config{}, []string{"it refuses who does not say who it is", "NATS_USER"}},
		{"wrong password", password, "", Config{User: "u", Password: "hunter2"}, []string{`it refuses user "u" with the password in NATS_PASSWORD`}},
		{"wrong password in the URL", password, "nats://u:hunter2@", Config{}, []string{"it refuses the user in NATS_URL"}},
		{"wrong token", `authorization { token: right }`, "", Config{Token: "hunter2"}, []string{"it refuses the token in NATS_TOKEN"}},
		{"wrong nkey", `authorization { users: [ { nkey: ` + public + ` } ] }`, "", Config{NKey: seed}, []string{"it refuses the nkey in NATS_NKEY", seed}},
		{"nkeys are unknown", password, "", Config{NKey: seed}, []string{"NATS_NKEY"}},
		{"another's credentials", withJWT, "", Config{Creds: otherCreds}, []string{"it refuses the credentials in NATS_CREDS", otherCreds}},
		{"credentials are unknown", password, "", Config{Creds: creds}, []string{"NATS_CREDS"}},
		{"no authority", cert.TLS(false), "", Config{}, []string{"its certificate is of an authority that this system does not know", "NATS_CA has to name"}},
		{"another authority", cert.TLS(false), "", Config{CA: other.CA}, []string{"its certificate is of an authority that NATS_CA, " + other.CA + ", does not know"}},
		{"no client certificate", cert.TLS(true), "", Config{CA: cert.CA}, []string{"wants a client certificate", "NATS_CERT and NATS_KEY have to name one"}},
		{"another's client certificate", cert.TLS(true), "", Config{CA: cert.CA, Cert: other.ClientCert, Key: other.ClientKey},
			[]string{"does not take the client certificate", "NATS_CERT"}},
		{"no TLS there", "jetstream: enabled", "", Config{CA: cert.CA}, []string{"it has no TLS, which NATS_CA"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.cfg.URL = tc.url
			if tc.config != "" {
				srv := natsserver.ForTestWith(t, tc.config)
				tc.cfg.URL = srv.URL()
				if tc.url != "" {
					tc.cfg.URL = strings.Replace(srv.URL(), "nats://", tc.url, 1)
				}
				tc.says = append(tc.says, strings.TrimPrefix(srv.URL(), "nats://"))
			}
			var log strings.Builder
			tc.cfg.ConnectTimeout, tc.cfg.Logger = 300*time.Millisecond, slog.New(slog.NewJSONHandler(&log, nil))
			_, err := Connect(deadline(t), tc.cfg)
			if err == nil {
				t.Fatal("connected")
			}
			for _, want := range tc.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			for _, never := range []string{"hunter2", "%!", "<nil>", ":null"} {
				if strings.Contains(err.Error()+log.String(), never) {
					t.Errorf("%s in %q, log %s", never, err, log.String())
				}
			}
		})
	}
}

// serveText starts a listener that sends the text to each client and then waits, and
// returns its address.
func serveText(t *testing.T, what string) string {
	return accepts(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte(what))
		_, _ = conn.Read(make([]byte, 1<<10)) // until the client closes
	})
}

func hangsUp(t *testing.T) string { return accepts(t, func(net.Conn) {}) }

func accepts(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// TestRefusedAtOnce: with a ConnectTimeout, Connect returns at once where waiting
// would not help; without one it connects once the server's configuration has been
// fixed.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	srv := natsserver.ForTestWith(t, `authorization { user: u, password: right }`)
	if _, err := Connect(t.Context(), Config{URL: srv.URL(), User: "u", Password: "wrong", ConnectTimeout: time.Hour}); err == nil {
		t.Error("connected with a wrong password")
	}
	waits := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() {
		c, err := Connect(deadline(t), Config{URL: srv.URL(), User: "u", Password: "mended", Logger: slog.New(&waitSignal{waits: waits})})
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	<-waits
	srv.Halt()
	if err := srv.Reconfigure(`authorization { user: u, password: mended }`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestLostServerIsSaid: during an outage the log names the servers that are awaited
// and the reason, and shows no token from a URL.
func TestLostServerIsSaid(t *testing.T) {
	t.Parallel()
	srv := natsserver.ForTestWith(t, `authorization { token: hunter2 }`)
	lines := make(chan string, 1000)
	c, err := Connect(deadline(t), Config{URL: strings.Replace(srv.URL(), "nats://", "nats://hunter2@", 1), Logger: slog.New(slog.NewJSONHandler(lineChannel(lines), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	srv.Halt()
	wait := func(what string) string {
		for line := range lines {
			if strings.Contains(line, "hunter2") || strings.Contains(line, "null") {
				t.Errorf("it says %s", line)
			}
			if strings.Contains(line, what) {
				return line
			}
		}
		return ""
	}
	if line := wait("waiting for NATS"); !strings.Contains(line, "connection refused") || strings.Count(line, strings.TrimPrefix(srv.URL(), "nats://")) != 2 {
		t.Errorf("it says %s", line)
	}
	if err := srv.Restart(); err != nil {
		t.Fatal(err)
	}
	wait("connected to NATS again")
}

// lineChannel is a writer that sends each line to a channel.
type lineChannel chan<- string

func (w lineChannel) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// waitSignal is a log handler that signals each line about waiting.
type waitSignal struct {
	slog.Handler
	waits chan<- struct{}
}

func (h *waitSignal) Enabled(context.Context, slog.Level) bool { return true }

func (h *waitSignal) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "waiting for NATS" {
		h.waits <- struct{}{}
	}
	return nil
}

// TestNoJetStream: where JetStream is off or elsewhere, the error says so, and what
// would be right.
func TestNoJetStream(t *testing.T) {
	t.Parallel()
	accounts := `jetstream { domain: hub }
		accounts { A { users: [ { user: a, password: a } ] }, B { jetstream: enabled, users: [ { user: b, password: b } ] } }`
	for _, tc := range []struct {
		name, config string
		cfg          Config
		says         string
	}{
		{"off on the server", `server_name: s`, Config{}, "nobody answers on $JS.API.STREAM.INFO.CONTROL_PLANE: JetStream is off on this server"},
		{"off for the account", accounts, Config{User: "a", Password: "a"}, "there is no JetStream for the account of this user"},
		{"another domain", accounts, Config{User: "b", Password: "b", Domain: "leaf"}, "nobody answers on $JS.leaf.API.STREAM.INFO.CONTROL_PLANE: is NATS_JS_DOMAIN, leaf, right"},
		{"nothing imported", accounts, Config{User: "b", Password: "b", Prefix: "JS.hub.API"}, "nobody answers on JS.hub.API.STREAM.INFO.CONTROL_PLANE: is NATS_JS_PREFIX, JS.hub.API, right"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			tc.cfg.URL, tc.cfg.ConnectTimeout = natsserver.ForTestWith(t, tc.config).URL(), time.Minute
			c, err := Connect(ctx, tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			_, infoErr := c.Info(ctx)
			_, provisionErr := c.Provision(ctx)
			for _, err := range []error{infoErr, provisionErr} {
				if err == nil || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%v; want %q in it", err, tc.says)
				}
			}
			if _, _, err := c.Publish(ctx, note(1)); err == nil || !strings.Contains(err.Error(), "no stream takes it: is JetStream on") {
				t.Errorf("publishing: %v", err)
			}
		})
	}
}

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/tcpproxy"
	"accountexport/outbox"
)

// What is not to be seen in a log, by what it is.
var confidential = map[string]string{
	"an e-mail address":               "mail-of-someone",
	"a payload":                       "text-in-a-payload",
	"a payload that is parked":        "text-that-is-parked",
	"a header of a message":           "text-in-a-header",
	"the password of the database":    "password-of-database",
	"the password of the outbox":      "password-of-outbox",
	"the password of NATS":            "password-of-nats",
	"the secret that tokens are of":   "secret-that-signs-tokens-of-users-here",
	"what came in a query":            "text-in-a-query",
	"what came in a path":             "text-in-a-path",
	"what came in a header":           "text-in-a-request-header",
	"what came in place of a request": "text-in-rubbish",
	"what came in a cookie":           "text-in-a-cookie",
}

// TestNothingConfidentialIsTold: projector, relay and API run at LOG_LEVEL=debug through
// sound, hostile and failing traffic, their servers are lost and found, and others
// start with servers that are not there or turn them away. In what they and `status`
// print, in their metrics, health and command lines there is no token, no address, no
// payload and no password. The API's has no account either.
func TestNothingConfidentialIsTold(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	account, other := uuid(t, someone), events.UUID{0: 9, 15: 9}
	if err := s.nats.Reconfigure(t.Context(), "jetstream: enabled\nno_auth_user: anybody\nauthorization { users: [ { user: anybody, password: anybody }, { user: run, password: "+
		confidential["the password of NATS"]+" } ] }"); err != nil {
		t.Fatal(err)
	}
	toDatabase, toNATS := tcpproxy.ForTest(t, s.databaseAddr()), tcpproxy.ForTest(t, s.nats.Addr())
	withPassword := func(addr, password string) string {
		u, err := url.Parse(s.database)
		if err != nil {
			t.Fatal(err)
		}
		u.User, u.Host = url.UserPassword("postgres", confidential[password]), addr
		return u.String()
	}
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	settings := map[string]string{"DATABASE_URL": withPassword(toDatabase.Addr(), "the password of the database"), "OUTBOX_DATABASE_URL": withPassword(toDatabase.Addr(), "the password of the outbox"),
		"NATS_URL": "nats://run:" + confidential["the password of NATS"] + "@" + toNATS.Addr(), "LOG_LEVEL": "debug", "LOG_FORMAT": "json"}
	with := func(name, value string, more ...string) map[string]string {
		out := maps.Clone(settings)
		out[name] = value
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	admin := map[string]string{"run": freeAddr(t), "relay": freeAddr(t), "api": freeAddr(t)}
	projector := launch(t, "projector", with("ADMIN_ADDR", admin["run"]), "run")
	relay := launch(t, "projector", with("ADMIN_ADDR", admin["relay"]), "relay")
	addr := freeAddr(t)
	api := launch(t, "api", map[string]string{"HTTP_ADDR": addr, "ADMIN_ADDR": admin["api"], "JWT_ISSUER": issuer, "JWT_SECRET": confidential["the secret that tokens are of"],
		"LOG_LEVEL": "debug", "LOG_FORMAT": "json", "CORS_ALLOWED_ORIGINS": "https://app.example"}, "--database-url", settings["DATABASE_URL"])

	tokens := confidentialTokens(t, account, other)
	ask := func() {
		var all sync.WaitGroup
		for _, token := range tokens {
			all.Go(func() { askWithSecrets(t, addr, token) })
		}
		sendRubbish(addr)
		all.Wait()
	}
	eventually(t, "the API", 30*time.Second, func(ctx context.Context) error {
		_, _, _, err := get(ctx, "http://"+addr+"/", "")
		return err
	})
	published := 0
	publish := func() {
		published++
		s.publishConfidential(t, conn, account, published)
	}
	publish()
	eventually(t, "what is refused by the stream is told", 60*time.Second, hasPrinted(relay, "a message is refused"))
	eventually(t, "what is parked is told", 60*time.Second, hasPrinted(projector, "messages were parked"))
	ask()
	for _, network := range []*tcpproxy.Proxy{toDatabase, toNATS} {
		network.Refuse(true)
		network.Cut()
		ask()
		if network == toDatabase {
			eventually(t, "the loss of the database is told", 60*time.Second, hasPrinted(api, "lost the database"))
			eventually(t, "the relay tells of it", 60*time.Second, hasPrinted(relay, "begins anew"))
		} else {
			eventually(t, "the loss of NATS is told", 60*time.Second, hasPrinted(projector, "NATS"))
		}
		scrapeConfidential(t, admin)
		network.Refuse(false)
	}
	publish()
	eventually(t, "all of it is served", 60*time.Second, func(ctx context.Context) error {
		status, _, body, err := get(ctx, "http://"+addr+"/v1/account/export", tokens[0])
		if err == nil && (status != http.StatusOK || !strings.Contains(string(body), confidential["a payload"]+" 2")) {
			err = fmt.Errorf("status %d: %.200s", status, body)
		}
		return err
	})
	said := map[string]string{"metrics": scrapeConfidential(t, admin)}
	for name, p := range map[string]*process{"projector": projector, "relay": relay, "api": api} {
		if name != "api" {
			p.stop(t)
		}
		if said[name] = p.out.tail(1 << 24); len(said[name]) < 500 {
			t.Errorf("%s said next to nothing: %s", name, said[name])
		}
	}
	starts := map[string]*process{}
	for name, program := range map[string]struct {
		settings map[string]string
		args     []string
	}{
		"status":                  {settings, []string{"status"}},
		"status --json":           {settings, []string{"status", "--json"}},
		"no database":             {with("DATABASE_URL", withPassword("127.0.0.1:1", "the password of the database"), "OUTBOX_DATABASE_URL", ""), []string{"status"}},
		"no outbox":               {with("OUTBOX_DATABASE_URL", withPassword("127.0.0.1:1", "the password of the outbox")), []string{"status"}},
		"another database":        {with("DATABASE_URL", strings.Replace(settings["DATABASE_URL"], "/test", "/not_there_test", 1)), []string{"status"}},
		"no host of that name":    {with("DATABASE_URL", withPassword("no-such-host.invalid:5432", "the password of the database")), []string{"provision"}},
		"no NATS":                 {with("NATS_URL", "nats://run:"+confidential["the password of NATS"]+"@127.0.0.1:1"), []string{"status"}},
		"NATS turns it away":      {with("NATS_URL", "nats://run:x"+confidential["the password of NATS"]+"@"+toNATS.Addr()), []string{"status"}},
		"by user and password":    {with("NATS_URL", "nats://"+toNATS.Addr(), "NATS_USER", "run", "NATS_PASSWORD", "x"+confidential["the password of NATS"]), []string{"status"}},
		"a database that is none": {with("DATABASE_URL", strings.Replace(settings["DATABASE_URL"], "postgres://", "mysql://", 1)), []string{"status"}},
	} {
		starts[name] = launch(t, "projector", program.settings, program.args...)
	}
	limit := time.After(10 * time.Second)
	for name, p := range starts {
		ended := make(chan int, 1)
		go func() { ended <- p.wait() }()
		select { // those that try again for longer have said by then what they try
		case <-ended:
		case <-limit:
			p.kill()
		}
		if said[name] = p.out.tail(1 << 20); said[name] == "" {
			t.Errorf("%s: nothing was said", name)
		}
	}
	for where, text := range said {
		for what, secret := range confidential {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s shows %s: %s", where, what, text[max(0, at-300):min(len(text), at+200)])
			}
		}
		for _, token := range tokens {
			for _, part := range strings.Split(token, ".")[1:] {
				if len(part) > 40 && strings.Contains(text, part) {
					t.Errorf("%s shows a token", where)
				}
			}
		}
	}
	for _, id := range []string{account.String(), other.String()} {
		if strings.Contains(said["api"], id) || strings.Contains(said["metrics"], id) {
			t.Errorf("the API's log or a metric shows an account")
		}
	}
	if strings.Contains(said["metrics"], "controlplane.account") {
		t.Error("a metric shows a subject")
	}
}

// confidentialTokens are a sound token, and others that the API refuses.
func confidentialTokens(t *testing.T, account, other events.UUID) (tokens []string) {
	t.Helper()
	address := confidential["an e-mail address"] + "@example.org"
	for _, by := range []struct {
		secret, issuer string
		of             events.UUID
		ttl            time.Duration
	}{
		{confidential["the secret that tokens are of"], issuer, account, time.Hour},
		{confidential["the secret that tokens are of"], issuer, other, time.Hour},
		{confidential["the secret that tokens are of"], issuer, account, -time.Hour},
		{confidential["the secret that tokens are of"], "https://another.example/auth/v1", account, time.Hour},
		{"another secret, of another project than ours", issuer, account, time.Hour},
	} {
		token, err := authtest.Mint(by.secret, by.issuer, by.of, address, by.ttl)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	claims := jwt.MapClaims{"iss": "supabase", "role": "service_role", "exp": time.Now().Add(time.Hour).Unix(), "email": address}
	service, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(confidential["the secret that tokens are of"]))
	if err != nil {
		t.Fatal(err)
	}
	signature := tokens[0][strings.LastIndex(tokens[0], ".")+1:]
	return append(tokens, service, "no.token."+signature+signature)
}

// askWithSecrets asks the API in every way in which people have sent secrets where none
// belong. What is answered does not matter here.
func askWithSecrets(t *testing.T, addr, token string) {
	t.Helper()
	base := "http://" + addr + "/v1/account/export"
	var all sync.WaitGroup
	for _, test := range []struct {
		method, url string
		header      http.Header
	}{
		{"GET", base, http.Header{"Authorization": {"Bearer " + token}}},
		{"GET", base + "?min_position=99999999", http.Header{"Authorization": {"Bearer " + token}}},
		{"GET", base + "?min_position=" + confidential["what came in a query"], http.Header{"Authorization": {"Bearer " + token}}},
		{"GET", base + "?access_token=" + token + "&x=" + confidential["what came in a query"], nil},
		{"GET", base + "/" + token, nil},
		{"GET", "http://" + addr + "/" + confidential["what came in a path"] + "/" + token, http.Header{"Authorization": {"Bearer " + token}}},
		{"GET", "http://" + addr + "/schemas/" + confidential["what came in a path"], nil},
		{"GET", base, http.Header{"Authorization": {"Basic " + token}}},
		{"GET", base, http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}},
		{"GET", base, http.Header{"Authorization": {token}, "Cookie": {"sb-access-token=" + token + "; x=" + confidential["what came in a cookie"]}}},
		{"GET", base, http.Header{"X-Request-Id": {token}, "User-Agent": {confidential["what came in a header"]}, "Referer": {"https://x/?t=" + token}}},
		{"GET", base, http.Header{"Authorization": {"Bearer " + token}, "If-None-Match": {`"` + confidential["what came in a header"] + `"`}, "Range": {confidential["what came in a header"]}}},
		{"GET", base, http.Header{"Authorization": {"Bearer " + token}, "Origin": {"https://" + confidential["what came in a header"]}, "X-Forwarded-For": {confidential["what came in a header"]}}},
		{"POST", base, http.Header{"Authorization": {"Bearer " + token}}},
		{confidential["what came in a header"], base, http.Header{"Authorization": {"Bearer " + token}}},
		{"GET", base, http.Header{"X-Huge": {confidential["what came in a header"] + strings.Repeat("x", 40<<10)}}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, test.url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if test.header != nil {
			req.Header = test.header
		}
		all.Go(func() { _, _, _, _ = do(req) }) // some are refused before an answer
	}
	all.Wait()
}

// sendRubbish sends what is no request.
func sendRubbish(addr string) {
	for _, text := range []string{confidential["what came in place of a request"] + "\r\n\r\n", "GET /" + confidential["what came in a path"] + " HTTP/9.9\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + confidential["what came in a header"] + "\r\n\r\n", "\x16\x03\x01" + confidential["what came in place of a request"]} {
		if c, err := net.Dial("tcp", addr); err == nil {
			_, _ = c.Write([]byte(text))
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_, _ = c.Read(make([]byte, 1024))
			c.Close()
		}
	}
}

// publishConfidential publishes what is folded, ignored and parked, and has an outbox hold
// what is relayed and what the stream refuses. All of it holds what is not to be seen.
func (s *system) publishConfidential(t *testing.T, conn *pgx.Conn, account events.UUID, n int) {
	t.Helper()
	address, payload, parked := confidential["an e-mail address"]+"@example.org", fmt.Sprint(confidential["a payload"], " ", n), confidential["a payload that is parked"]
	js := jetStream(t, s.nats.URL())
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	if cfg.MaxMsgSize = 100 << 10; n == 1 {
		if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	send := func(m events.Message, err error) {
		if err == nil {
			_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header(m.Header)}, jetstream.WithRetryAttempts(5))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	meta := func(what string) events.Meta { return newMeta(fmt.Sprint(what, n)) }
	send(events.NewQuotaTierDefined(meta("tier"), events.QuotaTierDefined{ID: "free", DisplayName: payload}))
	send(events.NewUserRegistered(meta("user"), account, events.UserRegistered{Email: address, Tier: "free", QuotaTierID: "free", Name: &payload}))
	send(events.NewTeamCreated(meta("team"), account, events.TeamCreated{ID: account, Name: payload, Slug: "s", QuotaTierID: "free"}))
	send(events.NewSandboxCreated(meta("sandbox"), account, events.SandboxCreated{ID: fmt.Sprint("sbx", n), Template: payload}))
	send(events.NewUserEmailChanged(meta("email"), account, events.UserEmailChanged{Email: address}))
	subject := "controlplane.account." + account.String()
	envelope := `{"specversion":"1.0","id":"x","source":"/x","time":"2026-03-25T07:11:48Z","type":"controlplane.`
	for _, data := range []string{
		parked, `{"` + parked + `":1`, `{"` + parked + `":"` + address + `"}`,
		envelope + `user.email_changed.v1","data":{"email":{"` + parked + `":"` + address + `"}}}`,
		envelope + `user.email_changed.v1","data":{"email":"` + address + `","` + parked + `":1,"` + parked + `":2}}`,
		envelope + `sandbox.created.v1","data":{"id":"` + strings.Repeat(parked, 10) + `","template":"x"}}`,
		envelope + `user.email_changed.v1","partitionkey":"` + parked + address + `","data":{"email":"x"}}`,
		envelope + `user.registered.v1","datacontenttype":"` + parked + `","data":{}}`,
		envelope + `unknown.v1","data":{"x":"` + parked + address + `"}}`,
		strings.Replace(envelope, "2026-03-25T07:11:48Z", parked, 1) + `user.email_changed.v1","data":{"email":"` + address + `"}}`,
		strings.Replace(envelope, `"1.0"`, `"`+parked+`"`, 1) + `user.email_changed.v1","data":{}}`,
	} {
		send(events.Message{Subject: subject, Data: []byte(data), Header: map[string][]string{"Traceparent": {confidential["a header of a message"]}}}, nil)
	}
	send(events.Message{Subject: subject, Data: []byte(`{}`), Header: map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"x"}, "ce-time": {confidential["a header of a message"]}}}, nil)
	send(events.Message{Subject: "controlplane.account." + confidential["a payload that is parked"], Data: []byte(address)}, nil)
	relayed, err := events.NewUserProfileUpdated(meta("relayed"), account, events.UserProfileUpdated{DisplayName: events.Some(payload)})
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat(confidential["a payload"]+address, 5000)
	refused, err := events.NewSandboxCreated(meta("refused"), events.UUID{0: 9, 15: 9}, events.SandboxCreated{ID: fmt.Sprint("large", n), Template: "x", Metadata: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	refused.Data = []byte(strings.Replace(string(refused.Data), `"template":"x"`, `"template":"`+large+`"`, 1))
	if err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		if err := outbox.Write(t.Context(), tx, relayed); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `SELECT outbox.write($1, $2, $3, $4)`, refused.Subject, fmt.Sprint("refused", n), nil, refused.Data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// scrapeConfidential is all that the programs' admin servers tell.
func scrapeConfidential(t *testing.T, admin map[string]string) (all string) {
	t.Helper()
	for _, addr := range admin {
		for _, path := range []string{"/metrics", "/readyz", "/livez", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
			_, _, body, err := get(t.Context(), "http://"+addr+path, "")
			if err != nil {
				t.Fatal(err)
			}
			all += string(body)
		}
	}
	return all
}

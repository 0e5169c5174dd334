package console

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"accountexport/internal/local/port"
)

// front is a console without servers behind it, on a real listener.
type front struct {
	*Console
	addr string // host:port
}

// openFront serves a console by the server that `projector console` has.
func openFront(t *testing.T, listen string, cfg Config) *front {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.User == "" {
		cfg.User = "tester"
	}
	cfg.Waiting = "NATS at nowhere"
	cfg.Pool = noDatabase(t)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return serveFront(t, listen, c, c.Server())
}

func serveFront(t *testing.T, listen string, c *Console, server *http.Server) *front {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Skipf("%s cannot be listened on here: %v", listen, err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return &front{c, l.Addr().String()}
}

// answer is what came back of a request.
type answer struct {
	*http.Response
	body string
}

// raw sends a request as it is written, from an address of this machine if one is given.
// {host} is the address that is listened on.
func (f *front) raw(t *testing.T, from, to, request string) answer {
	t.Helper()
	dialer := &net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request = strings.ReplaceAll(strings.ReplaceAll(request, "{host}", f.addr), "\n", "\r\n")
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// aPage is a page that needs no server, so whoever may ask is answered 200.
const aPage = "GET /assets/console.css HTTP/1.1\nConnection: close\n"

// TestWithoutAHeaderThisMachineOnlyIsAnswered: by its connection, which nothing that a
// request says changes, and by the name that it asks for.
func TestWithoutAHeaderThisMachineOnlyIsAnswered(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{})
	_, port, _ := net.SplitHostPort(f.addr)
	for request, want := range map[string]int{
		"Host: {host}\n":                          200,
		"Host: localhost:" + port + "\n":          200,
		"Host: localhost\n":                       200,
		"Host: 127.0.0.1\n":                       200,
		"Host: [::1]:" + port + "\n":              200,
		"Host: [::ffff:127.0.0.1]:" + port + "\n": 200,
		// A page whose own name was made to resolve to this machine.
		"Host: attacker.example:" + port + "\n":     403,
		"Host: localhost.attacker.example\n":        403,
		"Host: 127.0.0.1.attacker.example\n":        403,
		"Host: localhost.\n":                        403,
		"Host: \n":                                  403,
		"Host: 0.0.0.0:" + port + "\n":              403,
		"Host: 192.0.2.1:" + port + "\n":            403,
		"Host: 2130706433\n":                        403,
		"Host: {host}\nX-Forwarded-For: 1.2.3.4\n":  403,
		"Host: {host}\nx-forwarded-for: \n":         403,
		"Host: {host}\nX-Forwarded-Host: a\n":       403,
		"Host: {host}\nX-Forwarded-Proto: https\n":  403,
		"Host: {host}\nX-Forwarded-User: root\n":    403,
		"Host: {host}\nForwarded: for=127.0.0.1\n":  403,
		"Host: {host}\nVia: 1.1 proxy\n":            403,
		"Host: {host}\nX-Real-IP: 127.0.0.1\n":      403,
		"Host: {host}\nOrigin: http://a.example\n":  200, // a style, which no other page is given: see TestOtherPagesMayOnlyLinkHere
		"Host: {host}\nX-Remote-User: somebody\n":   200, // not believed, and no proxy's word for whom it asks
		"Host: {host}\nHost: attacker.example\n":    400,
		"Host: {host}\nAuthorization: Basic aaaa\n": 200,
	} {
		if got := f.raw(t, "", f.addr, aPage+request+"\n"); got.StatusCode != want {
			t.Errorf("%q: status %d, want %d: %s", request, got.StatusCode, want, got.body)
		}
	}
	// Not even the host of the request line counts for more than it says.
	if got := f.raw(t, "", f.addr, "GET http://attacker.example/assets/console.css HTTP/1.1\nHost: {host}\nConnection: close\n\n"); got.StatusCode != 403 {
		t.Errorf("another host in the request line: status %d", got.StatusCode)
	}
}

// TestOnWhicheverAddressItListens: who comes by an address that other machines reach is
// refused, also where the console listens there.
func TestOnWhicheverAddressItListens(t *testing.T) {
	t.Run("IPv6", func(t *testing.T) {
		f := openFront(t, "[::1]:0", Config{})
		if got := f.raw(t, "", f.addr, aPage+"Host: {host}\n\n"); got.StatusCode != 200 {
			t.Errorf("IPv6's loopback: status %d: %s", got.StatusCode, got.body)
		}
	})
	t.Run("every address", func(t *testing.T) {
		f := openFront(t, "0.0.0.0:0", Config{})
		outward, err := port.Outward()
		if err != nil {
			t.Fatal(err)
		}
		if outward == "" {
			t.Skip("this machine has no address by which others would reach it")
		}
		_, port, _ := net.SplitHostPort(f.addr)
		for host, want := range map[string]int{"127.0.0.1": 200, outward: 403} {
			for _, says := range []string{net.JoinHostPort(host, port), "localhost:" + port} {
				if got := f.raw(t, "", net.JoinHostPort(host, port), aPage+"Host: "+says+"\n\n"); got.StatusCode != want {
					t.Errorf("by %s, asking for %s: status %d, want %d", host, says, got.StatusCode, want)
				}
			}
		}
	})
}

// TestOnlyATrustedProxySaysWhoAsks: its header counts once, with a sound name, and from
// nobody else; the name is shown so that it changes nothing around it.
func TestOnlyATrustedProxySaysWhoAsks(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{UserHeader: "X-Forwarded-User", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	const from = "127.0.0.2"
	// The host is the proxy's own, which nobody has to know here.
	page := aPage + "Host: console.example\n"
	for says, want := range map[string]int{
		"":                        401,
		"X-Forwarded-User: \n":    401,
		"X-Forwarded-User: ann\n": 200,
		"x-forwarded-user: ann\n": 200,
		"X-Forwarded-User: ann@example.org\nX-Forwarded-For: 203.0.113.7\n": 200,
		"X-Forwarded-User: Zoë\n":                                 200,
		"X-Forwarded-User: " + strings.Repeat("ü", 200) + "\n":    200,
		"X-Forwarded-User: " + strings.Repeat("a", 201) + "\n":    401,
		"X-Forwarded-User: " + strings.Repeat("a", 15<<10) + "\n": 401,
		"X-Forwarded-User: ann\nX-Forwarded-User: root\n":         401,
		"X-Forwarded-User: ann\nx-forwarded-user: ann\n":          401,
		"X-Forwarded-User: \nX-Forwarded-User: root\n":            401,
		"X-Forwarded-User: \xff\xfe\n":                            401,
		"X-Forwarded-User: a\u202enna\n":                          401, // which would turn what comes after it
		"X-Forwarded-User: a\u200bnn\n":                           401,
		"X-Forwarded-User: a\tb\n":                                401,
		"X-Forwarded-User: a\x00b\n":                              400,
		"X-Forwarded-User: a\x1b[2Jb\n":                           400,
		"X-Forwarded-Users: ann\n":                                401,
		"X_Forwarded_User: ann\n":                                 401,
		"X-Forwarded-User : ann\n":                                400,
	} {
		if got := f.raw(t, from, f.addr, page+says+"\n"); got.StatusCode != want {
			t.Errorf("%.80q: status %d, want %d: %.300s", says, got.StatusCode, want, got.body)
		}
	}
	for _, past := range []string{"127.0.0.1", "127.0.0.3"} {
		got := f.raw(t, past, f.addr, page+"X-Forwarded-User: zoe\n\n")
		if got.StatusCode != 403 || strings.Contains(got.body, "zoe") {
			t.Errorf("past the proxy, from %s: status %d: %s", past, got.StatusCode, got.body)
		}
	}
	got := f.raw(t, from, f.addr, "GET /jobs/none HTTP/1.1\nConnection: close\nHost: console.example\nX-Forwarded-User: <b>ann</b>\n\n")
	if !strings.Contains(got.body, "<bdi>&lt;b&gt;ann&lt;/b&gt;</bdi>") {
		t.Errorf("a name with markup: %s", got.body)
	}
}

// TestOtherPagesMayOnlyLinkHere: a page of another origin acts in no way that a browser
// has, and reads nothing, also where it does so unseen: a look would be recorded. A link
// from elsewhere is followed.
func TestOtherPagesMayOnlyLinkHere(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{AllowActs: true})
	_, port, _ := net.SplitHostPort(f.addr)
	const form = "Content-Type: application/x-www-form-urlencoded\nContent-Length: 6\n\nnote=a"
	// What is let through begins nothing: this console has no servers yet.
	const through, refused = 503, 403
	for _, test := range []struct {
		what, request string
		want          int
	}{
		{"a form of the console's own page", "POST /acts/pause\nSec-Fetch-Site: same-origin\nOrigin: http://{host}\n" + form, through},
		{"the same in a browser that says the origin alone", "POST /acts/pause\nOrigin: http://{host}\n" + form, through},
		{"a program, which says neither", "POST /api/acts/pause\nContent-Type: application/json\nContent-Length: 2\n\n{}", through},
		{"a form elsewhere", "POST /acts/pause\nSec-Fetch-Site: cross-site\nOrigin: https://a.example\n" + form, refused},
		{"the same in a browser that says the origin alone", "POST /acts/pause\nOrigin: https://a.example\n" + form, refused},
		{"another port of this machine", "POST /acts/pause\nSec-Fetch-Site: same-site\nOrigin: http://127.0.0.1:1\n" + form, refused},
		{"the same in a browser that says the origin alone", "POST /acts/pause\nOrigin: http://127.0.0.1:1\n" + form, refused},
		{"another name of this machine", "POST /acts/pause\nOrigin: http://localhost:" + port + "\n" + form, refused},
		{"a sandboxed frame", "POST /acts/pause\nOrigin: null\n" + form, refused},
		{"a navigation by a form elsewhere", "POST /acts/pause\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\n" + form, refused},
		{"JSON as text, which needs nobody's consent", "POST /api/acts/pause\nOrigin: https://a.example\nContent-Type: text/plain\nContent-Length: 2\n\n{}", refused},
		{"the same from the console's own page", "POST /api/acts/pause\nOrigin: http://{host}\nContent-Type: text/plain\nContent-Length: 2\n\n{}", 400},
		{"a form with files", "POST /acts/pause\nContent-Type: multipart/form-data; boundary=x\nContent-Length: 0\n\n", 400},
		{"a page whose name was made to resolve here", "POST /acts/pause\nSec-Fetch-Site: same-origin\nOrigin: http://a.example\nHost: a.example\n" + form, refused},
		{"an image elsewhere", "GET /api/overview\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image\n\n", refused},
		{"a script of another port", "GET /api/overview\nSec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n\n", refused},
		{"a frame elsewhere", "GET /\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe\n\n", refused},
		{"who follows from elsewhere", "GET /events?topic=overview\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n\n", refused},
		{"a link elsewhere", "GET /\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-User: ?1\nSec-Fetch-Dest: document\n\n", through},
		{"an address that was typed", "GET /\nSec-Fetch-Site: none\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\n\n", through},
		{"the console's own script", "GET /api/overview\nSec-Fetch-Site: same-origin\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty\n\n", through},
	} {
		line, rest, _ := strings.Cut(test.request, "\n")
		if !strings.Contains(test.request, "Host: ") {
			rest = "Host: {host}\n" + rest
		}
		got := f.raw(t, "", f.addr, line+" HTTP/1.1\nConnection: close\n"+rest)
		if got.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d: %s", test.what, got.StatusCode, test.want, got.body)
		}
	}
}

// TestNothingButPOSTActs: each act, asked for in another way, is refused and says which
// way is right.
func TestNothingButPOSTActs(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{AllowActs: true})
	for _, a := range actions() {
		for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "FOO"} {
			for _, path := range []string{"/acts/", "/api/acts/"} {
				got := f.raw(t, "", f.addr, method+" "+path+a.name+"?note=a HTTP/1.1\nConnection: close\nHost: {host}\nX-HTTP-Method-Override: POST\n\n")
				if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "POST" {
					t.Errorf("%s %s%s: status %d, Allow: %s", method, path, a.name, got.StatusCode, got.Header.Get("Allow"))
				}
			}
		}
	}
	for _, path := range []string{"/", "/api/overview"} {
		got := f.raw(t, "", f.addr, "POST "+path+" HTTP/1.1\nConnection: close\nHost: {host}\nContent-Length: 0\n\n")
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: status %d, Allow: %s", path, got.StatusCode, got.Header.Get("Allow"))
		}
	}
}

// TestEveryActIsRefusedWithoutRights: whatever is registered, as a form and as JSON, from
// the console's own page; nothing is even judged.
func TestEveryActIsRefusedWithoutRights(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{})
	refused := 0
	for _, a := range actions() {
		if a.look {
			continue
		}
		for _, path := range []string{"/acts/", "/api/acts/"} {
			for kind, body := range map[string]string{"application/x-www-form-urlencoded": "note=a&allow_acts=1", "application/json": `{"note":"a"}`} {
				got := f.raw(t, "", f.addr, fmt.Sprintf("POST %s%s?allow-acts=true HTTP/1.1\nConnection: close\nHost: {host}\nOrigin: http://{host}\nContent-Type: %s\nContent-Length: %d\n\n%s",
					path, a.name, kind, len(body), body))
				if refused++; got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "--allow-acts") {
					t.Errorf("POST %s%s as %s: status %d: %s", path, a.name, kind, got.StatusCode, got.body)
				}
			}
		}
	}
	if refused < 8 || len(f.jobs.all) != 0 {
		t.Errorf("%d acts were refused, and %d have begun", refused, len(f.jobs.all))
	}
}

// TestLivezAnswersSupervisors: who has no name is told that the console answers, by
// whichever name it was asked, and nothing else.
func TestLivezAnswersSupervisors(t *testing.T) {
	for name, cfg := range map[string]Config{"for this machine": {}, "behind a proxy": {UserHeader: "X-User", Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}} {
		f := openFront(t, "127.0.0.1:0", cfg)
		got := f.raw(t, "", f.addr, "GET /livez HTTP/1.1\nConnection: close\nHost: anything\n\n")
		if got.StatusCode != 200 || got.body != "ok\n" || got.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: status %d: %s", name, got.StatusCode, got.body)
		}
		if got := f.raw(t, "", f.addr, "GET /livez/ HTTP/1.1\nConnection: close\nHost: anything\n\n"); got.StatusCode < 400 {
			t.Errorf("%s: beside it: status %d: %s", name, got.StatusCode, got.body)
		}
	}
}

// TestBodiesAreBounded: a larger form is refused before it is read, whatever it says of
// its length.
func TestBodiesAreBounded(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{AllowActs: true})
	for _, kind := range []string{"application/json", "application/x-www-form-urlencoded"} {
		body := io.MultiReader(strings.NewReader(`{"note":"`), strings.NewReader(strings.Repeat("a", 1<<20)), strings.NewReader(`"}`))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+"/api/acts/pause", body) // chunked
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("a megabyte of %s: status %d, %s", kind, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}

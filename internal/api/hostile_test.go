package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHostileRequests sends bytes over a socket that no well-behaved client sends.
// Each request is answered, or its connection closed, and the API goes on.
func TestHostileRequests(t *testing.T) {
	a := start(t, newMemory())
	user := "Authorization: " + bearer(t, complete) + "\r\n"
	get := func(rest string) string { return "GET " + exportPath + " HTTP/1.1\r\nHost: x\r\n" + rest + "\r\n" }
	const closed = 0 // no answer
	for _, test := range []struct {
		name, request string
		want          int
		body          string // part of the answer's body
	}{
		{"scheme in another case", get("Authorization: bEARER " + bearer(t, complete)[7:] + "\r\n"), 200, ""},
		{"header name in another case", get("aUTHORIZATION: " + bearer(t, complete) + "\r\n"), 200, ""},
		{"spaces before the token", get("Authorization: Bearer    " + bearer(t, complete)[7:] + "\r\n"), 200, ""},
		{"a tab for the space", get("Authorization: Bearer\t" + bearer(t, complete)[7:] + "\r\n"), 401, "no-credentials"},
		{"a comma after the token", get("Authorization: " + bearer(t, complete) + ", Basic YTpi\r\n"), 401, "invalid-token"},
		{"a token in quotes", get(`Authorization: Bearer "` + bearer(t, complete)[7:] + "\"\r\n"), 401, "invalid-token"},
		{"an empty header", get("Authorization:\r\n"), 401, "no-credentials"},
		{"an empty header and a good one", get("Authorization:\r\n" + user), 400, "invalid-request"},
		{"three headers", get(user + user + user), 400, "invalid-request"},
		{"a token in a cookie", get("Cookie: access_token=" + bearer(t, complete)[7:] + "\r\n"), 401, "no-credentials"},
		{"a token in the apikey header", get("apikey: " + bearer(t, complete)[7:] + "\r\n"), 401, "no-credentials"},
		{"proxy's credentials", get("Proxy-Authorization: " + bearer(t, complete) + "\r\n"), 401, "no-credentials"},
		// allowed by RFC 9112 §5.2
		{"a folded header", get("Authorization: Bearer\r\n " + bearer(t, complete)[7:] + "\r\n"), 200, ""},
		{"a NUL in a header", get(user + "X-Y: a\x00b\r\n"), 400, "malformed-request"},
		{"a carriage return in a header", get(user + "X-Y: a\rb\r\n"), 400, "malformed-request"},
		{"a space before the colon", get("Authorization : " + bearer(t, complete) + "\r\n"), 400, "malformed-request"},
		{"no colon", get(user + "nonsense\r\n"), 400, "malformed-request"},
		{"bytes beyond ASCII in a header", get(user + "X-Y: \xff\xfe\r\n"), 200, ""},
		{"a header too large", get(user + "X-Y: " + strings.Repeat("a", 64<<10) + "\r\n"), 431, "header-too-large"},
		{"headers too many", get(user + strings.Repeat("X-Y: a\r\n", 20_000)), 431, "header-too-large"},
		{"no host", "GET " + exportPath + " HTTP/1.1\r\n" + user + "\r\n", 400, "malformed-request"},
		{"two hosts", get("Host: y\r\n" + user), 400, "malformed-request"},
		{"a host of nonsense", "GET " + exportPath + " HTTP/1.1\r\nHost: a b\r\n" + user + "\r\n", 400, "malformed-request"},
		{"HTTP/1.0", "GET " + exportPath + " HTTP/1.0\r\n" + user + "\r\n", 200, ""},
		{"HTTP/0.9", "GET " + exportPath + "\r\n", 400, "malformed-request"},
		{"HTTP/3.0", "GET " + exportPath + " HTTP/3.0\r\nHost: x\r\n" + user + "\r\n", 505, "http-version"},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404, "no-such-path"},
		{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "malformed-request"},
		{"a method in lower case", "get " + exportPath + " HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 405, "method-not-allowed"},
		{"a method with a space", "G T " + exportPath + " HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed-request"},
		{"TRACE", "TRACE " + exportPath + " HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 405, "method-not-allowed"},
		{"CONNECT", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 404, "no-such-path"},
		{"OPTIONS of everything", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-such-path"},
		{"an absolute URI", "GET http://elsewhere" + exportPath + " HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 200, ""},
		{"a path in percent code", "GET /v1/account/%65xport HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 200, ""},
		{"a slash in percent code", "GET /v1%2faccount/export HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 200, ""},
		{"a NUL in the path", "GET /v1/account/export%00 HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 404, "no-such-path"},
		{"percent code of nothing", "GET /v1/account/%zz HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 400, "malformed-request"},
		{"another case of the path", "GET /V1/account/export HTTP/1.1\r\nHost: x\r\n" + user + "\r\n", 404, "no-such-path"},
		{"a path for a file", "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-such-path"},
		{"a path too long", "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431, "header-too-large"},
		{"two lengths", get(user + "Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "malformed-request"},
		{"a negative length", get(user + "Content-Length: -1\r\n"), 400, "malformed-request"},
		{"a length and chunks", get(user+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", 200, ""},
		{"another transfer coding", get(user + "Transfer-Encoding: gzip\r\n"), 501, "transfer-coding"},
		{"a chunked body", get(user+"Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n", 200, ""},
		{"a body", get(user+"Content-Length: 3\r\n") + "abc", 200, ""},
		{"a body that is promised", get(user + "Expect: 100-continue\r\nContent-Length: 1000000000\r\n"), 200, ""},
		{"another expectation", get(user + "Expect: the-unexpected\r\n"), 417, ""},
		{"an upgrade", get(user + "Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, ""},
		{"ranges", get(user + "Range: bytes=0-0,1-1,2-2\r\n"), 200, ""},
		{"another method in a header", get(user + "X-HTTP-Method-Override: DELETE\r\n"), 200, ""},
		{"another path in a header", "GET / HTTP/1.1\r\nHost: x\r\nX-Original-URL: " + exportPath + "\r\n" + user + "\r\n", 404, "no-such-path"},
		{"another account in a header", get(user + "X-User-Id: " + parked.String() + "\r\n"), 200, ""},
		{"a tag that does not end", get(user + "If-None-Match: \"" + strings.Repeat("a", 1000) + "\r\n"), 200, ""},
		{"tags by the thousand", get(user + "If-None-Match: " + strings.Repeat(`"x",`, 4000) + "\r\n"), 200, ""},
		{"codings by the thousand", get(user + "Accept-Encoding: " + strings.Repeat(`gzip;q=0,`, 3000) + "\r\n"), 200, ""},
		{"no coding is good", get(user + "Accept-Encoding: *;q=0\r\n"), 406, "not-acceptable"},
		{"a media type that is not there", get(user + "Accept: image/png\r\n"), 200, ""},
		{"a request id that breaks the line", get(user + "X-Request-Id: a%0d%0aSet-Cookie: b\r\n"), 200, ""},
		{"a position in another notation", strings.Replace(get(user), exportPath, exportPath+"?min_position=0x10", 1), 400, "invalid-min-position"},
		{"a semicolon in the query", strings.Replace(get(user), exportPath, exportPath+"?a=1;min_position=5", 1), 400, "invalid-query"},
		{"nothing but line ends", "\r\n\r\n", 400, "malformed-request"},
		{"nothing, and gone", "", closed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, body := raw(t, a, test.request)
			if got != test.want || !strings.Contains(body, test.body) {
				t.Errorf("got %d %s, want %d with %q", got, body, test.want, test.body)
			}
		})
	}
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)); got.status != 200 {
		t.Errorf("afterwards: %d", got.status)
	}
	if log := a.log.String(); strings.Contains(log, "panic") || strings.Contains(log, "eyJ") {
		t.Errorf("the log has %s", log)
	}
}

// kindOf returns the last part of a problem's type.
func kindOf(body string) string {
	_, kind, _ := strings.Cut(body, problemType)
	kind, _, _ = strings.Cut(kind, `"`)
	return kind
}

// raw sends bytes and reads the first answer; status 0 stands for a connection that
// was closed without one.
func raw(t *testing.T, a *api, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, request) // the server may close before the end of the request
	if err := c.(*net.TCPConn).CloseWrite(); err != nil && !strings.Contains(err.Error(), "not connected") {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Logf("the body ends with %v", err)
	}
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusExpectationFailed { // which has no body
		checkProblem(t, answer{resp.StatusCode, resp.Header, string(text)}, resp.StatusCode, kindOf(string(text)))
	}
	return resp.StatusCode, string(text)
}

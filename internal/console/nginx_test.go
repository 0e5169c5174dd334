package console

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"accountexport/internal/local/child"
	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/testrun"
)

// TestNginxManual runs nginx as doc/console.md has it, with an oauth2-proxy's answers beside
// it: who is signed in is who asks, whatever the client says; who is not sees nothing of the
// console; its own pages act and follow, and others do not act.
func TestNginxManual(t *testing.T) {
	var cookies atomic.Int64
	f := followed(t, 0, func(s *http.Server) {
		next := s.Handler
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookies.Add(int64(len(r.Cookies())))
			next.ServeHTTP(w, r)
		})
	}, func(c *Config) {
		c.AllowActs, c.UserHeader, c.Proxies = true, "X-Forwarded-User", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	n := startNginx(t, f.addr, oauth2Proxy(t))

	for cookie, want := range map[string]string{"": "sign in here", "session=forged": "sign in here", "session=nobody": "has not said who asks",
		"session=ann": "<bdi>ann@example.org</bdi>"} {
		for _, says := range []http.Header{{}, {"X-Forwarded-User": {"root"}}, {"X-Forwarded-User": {"root", "toor"}}, {"X-Auth-Request-Email": {"root"}},
			{"X-Forwarded-For": {"127.0.0.1"}}} {
			resp, body := n.ask(t, http.MethodGet, "/jobs/none", cookie, says)
			if !strings.Contains(body, want) || strings.Contains(body, "root") {
				t.Errorf("with %q and %v: status %d, not %q: %s", cookie, says, resp.StatusCode, want, body)
			}
		}
	}
	for says, want := range map[string]int{"https://console.example": http.StatusSeeOther, "https://a.example": http.StatusForbidden} {
		if resp, body := n.ask(t, http.MethodPost, "/acts/pause", "session=ann", http.Header{"Origin": {says}, "Content-Type": {"application/x-www-form-urlencoded"}}); resp.StatusCode != want {
			t.Errorf("an act of a page of %s: status %d, want %d: %s", says, resp.StatusCode, want, body)
		}
	}
	resp := n.send(t, http.MethodGet, "/events?topic=numbered", "session=ann", nil)
	defer resp.Body.Close()
	followed := &page{resp.Body, bufio.NewReader(resp.Body)}
	for range 2 {
		if _, err := followed.next(); err != nil {
			t.Errorf("what a page follows: status %d, %v", resp.StatusCode, err)
		}
	}
	if n := cookies.Load(); n != 0 {
		t.Errorf("the console was sent %d cookies", n)
	}
}

// oauth2Proxy answers as oauth2-proxy does with --set-xauthrequest: to nginx whether and as
// whom somebody is signed in, and to people with a page to sign in.
func oauth2Proxy(t *testing.T) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("session")
		switch {
		case r.URL.Path != "/oauth2/auth":
			_, _ = w.Write([]byte("sign in here"))
		case err != nil || session.Value == "forged":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			if session.Value != "nobody" {
				w.Header().Set("X-Auth-Request-Email", session.Value+"@example.org")
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// nginx is one that runs.
type nginx struct {
	addr   string
	client *http.Client
}

// startNginx runs nginx with the server of doc/console.md, in which only the addresses and
// the files are those of this test.
func startNginx(t *testing.T, console, oauth string) *nginx {
	t.Helper()
	binary := testrun.Tool(t, "/usr/sbin/nginx", "apt-get install nginx-light")
	server := nginxBlock(t)
	certificates := natsserver.CertificatesForTest(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	for written, here := range map[string]string{"listen 443 ssl": "listen " + addr + " ssl", "http://127.0.0.1:4180": "http://" + oauth, "http://10.0.0.7:9093": "http://" + console,
		"/etc/ssl/console.example.pem": certificates.ServerCert, "/etc/ssl/console.example.key": certificates.ServerKey} {
		if !strings.Contains(server, written) {
			t.Fatalf("the server of the manual has no %s:\n%s", written, server)
		}
		server = strings.ReplaceAll(server, written, here)
	}
	dir := t.TempDir()
	user := ""
	if os.Getuid() == 0 { // or it would have no right to its own folder
		user = "user root;\n"
	}
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	file := filepath.Join(dir, "nginx.conf")
	config := fmt.Sprintf("%sdaemon off;\npid %s;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", user, filepath.Join(dir, "pid"), temporary.String(), server)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logs{}
	cmd := exec.Command(binary, "-p", dir, "-e", "stderr", "-c", file)
	cmd.Stdout, cmd.Stderr = said, said
	l.Close()
	process, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Signal(syscall.SIGTERM); <-process.Ended() })
	authority, err := os.ReadFile(certificates.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	n := &nginx{addr, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	testrun.Eventually(t, "nginx accepts connections", func() bool {
		select {
		case <-process.Ended():
			t.Fatalf("nginx has ended: %s", said.taken())
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return n
}

// nginxBlock is nginx's server in the manual.
func nginxBlock(t *testing.T) string {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path == "doc/console.md" && strings.HasPrefix(b.Text, "server {") {
				return b.Text
			}
		}
	}
	t.Fatal("doc/console.md has no server of nginx")
	return ""
}

func (n *nginx) send(t *testing.T, method, path, cookie string, says http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "https://"+n.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range says {
		r.Header[name] = values
	}
	r.Host = "console.example"
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	resp, err := n.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func (n *nginx) ask(t *testing.T, method, path, cookie string, says http.Header) (*http.Response, string) {
	t.Helper()
	resp := n.send(t, method, path, cookie, says)
	body, err := readAll(resp)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

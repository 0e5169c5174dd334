package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

// headers are what every answer carries.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
	"Access-Control-Allow-Origin":  "",
}

// TestEveryAnswerIsGuarded: each path that there is, in each method, answered or refused,
// carries the headers that keep a page from being framed, kept, read by another page or
// from running what is not the console's; and each failure of /api/ is a problem.
func TestEveryAnswerIsGuarded(t *testing.T) {
	f := openFront(t, "127.0.0.1:0", Config{})
	paths := everyPath(t, f.Console)
	if len(paths) < 10 {
		t.Errorf("only %d paths were found", len(paths))
	}
	paths = append(paths, "/", "/none", "/api/none", "/api/", "/assets/none.css", "/assets/", "/assets/../templates/layout.html", "/assets/%2e%2e/guard.go",
		"//a.example/", "/api//overview", "/livez", "/favicon.ico", "/events", "/events?topic=none:1", "/?job=none", "/%00", "/%ff",
		"/"+strings.Repeat("a", 4000))
	for _, p := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE"} {
			for _, from := range []string{"", "X-Forwarded-For: 1.2.3.4\n"} {
				request := method + " " + p + " HTTP/1.1\nConnection: close\nHost: {host}\nContent-Length: 0\n" + from + "\n"
				got := f.raw(t, "", f.addr, request)
				for name, want := range headers {
					if is := strings.Join(got.Header.Values(name), " and "); is != want {
						t.Errorf("%.80s: status %d: %s is %q", request, got.StatusCode, name, is)
					}
				}
				kind := got.Header.Get("Content-Type")
				if from != "" && got.StatusCode < 400 && p != "/livez" {
					t.Errorf("%.80s: a proxy's request has status %d", request, got.StatusCode)
				}
				if strings.HasPrefix(p, "/api/") && got.StatusCode >= 400 && kind != "application/problem+json" {
					t.Errorf("%.80s: status %d is %s: %s", request, got.StatusCode, kind, got.body)
				}
				if to := got.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
					t.Errorf("%.80s leads to %s", request, to)
				}
			}
		}
	}
}

// everyPath are all paths that a console knows, with something in the place of variables.
func everyPath(t *testing.T, c *Console) (paths []string) {
	t.Helper()
	router, ok := c.routes().(*mux.Router)
	if !ok {
		t.Fatal("the routes are no mux.Router any more: this test walks it")
	}
	variable := regexp.MustCompile(`\{[^:{}]+(:(?:[^{}]|\{[^}]*\})*)?\}`)
	err := router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		template, err := r.GetPathTemplate()
		if err != nil {
			return fmt.Errorf("a route without a path: %w", err)
		}
		paths = append(paths, variable.ReplaceAllStringFunc(template, func(v string) string {
			_, pattern, _ := strings.Cut(strings.Trim(v, "{}"), ":")
			for _, value := range []string{"0b4f9d1e-0000-4000-8000-000000000001", "1", "a"} {
				if regexp.MustCompile("^(?:"+pattern+")$").MatchString(value) || pattern == "" {
					return value
				}
			}
			return "1"
		}))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestNoPageAsksAnotherHost: no template and no asset names another host, and none has
// a script, style or handler within it, which the policy would not run.
func TestNoPageAsksAnotherHost(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(?:https?|wss?|ftp):(?:\\?/){2}[^\s"'<>)]+|["'(=]\s*//[a-z0-9][^\s"'<>)]*|@import`)
	within := regexp.MustCompile(`(?i)<style|<script(?: [a-z-]+)*>|\son[a-z]+\s*=|\sstyle\s*=|javascript:|<base|<iframe|<object|<embed|http-equiv`)
	harmless := map[string]bool{"http://www.w3.org/2000/svg": true} // a name, which nobody asks
	files := 0
	for folder, in := range map[string]fs.FS{"templates": templateFiles, "assets": assetFiles} {
		err := fs.WalkDir(in, folder, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			b, err := fs.ReadFile(in, name)
			for _, m := range elsewhere.FindAllString(string(b), -1) {
				if !harmless[m] {
					t.Errorf("%s names %s", name, m)
				}
			}
			if path.Ext(name) == ".html" || path.Ext(name) == ".svg" {
				for _, m := range within.FindAllString(string(b), -1) {
					t.Errorf("%s has %q", name, m)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 6 {
		t.Errorf("only %d files were read", files)
	}
	for _, text := range []string{`<link href="https://a.example/x.css">`, `<img src=//a.example/x>`, `url("//a.example/x")`, `@import "x"`} {
		if !elsewhere.MatchString(text) {
			t.Errorf("%s would not be found", text)
		}
	}
	for _, text := range []string{`<script>x`, `<script defer>`, `<a onclick="x">`, `<p style="x">`} {
		if !within.MatchString(text) {
			t.Errorf("%s would not be found", text)
		}
	}
}

// TestAPanicEndsOneRequest: whoever asked is told that it was not them, the log has where,
// and the console goes on. Where an answer had begun, it does not look whole.
func TestAPanicEndsOneRequest(t *testing.T) {
	logged := &logs{}
	cfg := Config{Logger: logged.logger()}
	cfg.Pool = noDatabase(t)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.handle = c.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/panics", "/panics":
			panic("a secret of the handler")
		case "/late":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("the first part"))
			_ = http.NewResponseController(w).Flush()
			panic(errors.New("a secret of the handler"))
		}
		_, _ = w.Write([]byte("well"))
	}))
	f := serveFront(t, "127.0.0.1:0", c, c.Server())
	for _, p := range []string{"/panics", "/api/panics"} {
		got := f.raw(t, "", f.addr, "GET "+p+" HTTP/1.1\nConnection: close\nHost: {host}\n\n")
		if got.StatusCode != http.StatusInternalServerError || strings.Contains(got.body, "secret") || strings.Contains(got.body, "goroutine") ||
			strings.Contains(got.body, ".go") || !strings.Contains(got.body, "failed inside") || got.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: status %d: %s", p, got.StatusCode, got.body)
		}
		if text := logged.taken(); !strings.Contains(text, "a secret of the handler") || !strings.Contains(text, "headers_test.go") {
			t.Errorf("%s: the log does not say where: %s", p, text)
		}
	}
	resp, err := http.Get("http://" + f.addr + "/late")
	if err == nil {
		_, err = readAll(resp)
	}
	if err == nil {
		t.Error("a part of an answer was taken for the whole")
	}
	if got := f.raw(t, "", f.addr, "GET / HTTP/1.1\nConnection: close\nHost: {host}\n\n"); got.body != "well" {
		t.Errorf("afterwards: status %d: %s", got.StatusCode, got.body)
	}
}

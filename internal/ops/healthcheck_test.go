package ops

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestHealthcheck: a program that is alive is healthy even if it is not ready. One
// that does not answer, answers something else or is not running is not healthy.
func TestHealthcheck(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // must not be used
	s := NewServer(Registry(), quiet(), Check{"database", func(context.Context) error { return http.ErrServerClosed }})
	where, end := serve(t, s)
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{u.Host, ":" + u.Port(), "0.0.0.0:" + u.Port(), "[::]:" + u.Port()} {
		if err := Healthcheck(t.Context(), addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for addr, want := range map[string]string{
		u.Host: "refused", strings.TrimPrefix(other.URL, "http://"): "404 Not Found", silent.Addr().String(): "deadline exceeded", ":0": "and not 0",
	} {
		if err := Healthcheck(t.Context(), addr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", addr, err, want)
		}
	}
}

package ops

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"accountexport/internal/local/port"
)

func TestProfilesAreForThisMachineOnly(t *testing.T) {
	h := NewServer(Registry(), quiet()).http.Handler
	const here, port = "localhost:9091", ":9091"
	type test struct {
		remote, host, header string
		want                 int
	}
	tests := []test{
		// Who is elsewhere does not become local by what it says.
		{"192.0.2.1:1", "127.0.0.1" + port, "", 403}, {"192.0.2.1:1", "localhost", "", 403},
		// A page that has had its own name resolve to this machine.
		{"127.0.0.1:1", "attacker.example", "", 403}, {"127.0.0.1:1", "attacker.example" + port, "", 403}, {"127.0.0.1:1", "", "", 403},
		{"127.0.0.1:1", "127.0.0.1.attacker.example", "", 403}, {"127.0.0.1:1", "localhost.attacker.example", "", 403},
		{"127.0.0.1:1", "localhost", "", 200}, {"127.0.0.1:1", "192.0.2.9" + port, "", 200}, {"[::1]:1", "[::1]" + port, "", 200}, {"[::1]:1", "[::1]", "", 200},
	}
	for remote, want := range map[string]int{"127.0.0.1:1": 200, "127.8.9.10:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200, "192.0.2.1:1": 403,
		"[2001:db8::1]:1": 403, "[::ffff:192.0.2.1]:1": 403, "[fe80::1%lo]:1": 403, "10.0.0.1:1": 403, "": 403, "@": 403} {
		tests = append(tests, test{remote, here, "", want})
	}
	for _, header := range []string{"X-Forwarded-For", "x-real-ip", "Forwarded", "Via", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		tests = append(tests, test{"127.0.0.1:1", here, header, 403}, test{"192.0.2.1:1", here, header, 403})
	}
	for _, test := range tests {
		for _, path := range []string{"", "cmdline", "symbol", "goroutine?debug=1", "heap", "profile?seconds=1", "trace?seconds=1"} {
			if test.want == http.StatusOK && strings.Contains(path, "seconds") {
				continue // which would take its time
			}
			r := httptest.NewRequest("GET", "/debug/pprof/"+path, nil)
			r.RemoteAddr, r.Host = test.remote, test.host
			if test.header != "" {
				r.Header.Set(test.header, "127.0.0.1")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("%+v, %s: got %d", test, path, w.Code)
			}
		}
	}
}

// TestProfilesOnEveryAddress: on which address the admin server listens changes nothing.
// Who comes by an address of this machine that others reach it by as well is
// refused, though it is on this machine.
func TestProfilesOnEveryAddress(t *testing.T) {
	outward, err := port.Outward()
	if err != nil {
		t.Fatal(err)
	}
	if outward == "" {
		t.Log("this machine has no address by which others would reach it")
	}
	asked := 0
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "0.0.0.0:0", "[::]:0", ":0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Logf("%s cannot be listened on here: %v", addr, err)
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- NewServer(Registry(), quiet()).Run(ctx, l) }()
		port := l.Addr().(*net.TCPAddr).Port
		by := map[string]int{"127.0.0.1": 200, "[::1]": 200}
		if outward != "" {
			by[outward] = 403
		}
		for host, want := range by {
			for path, want := range map[string]int{"/debug/pprof/heap?debug=1": want, "/metrics": 200, "/livez": 200} {
				resp, err := http.Get(fmt.Sprintf("http://%s:%d%s", host, port, path))
				if err != nil {
					continue // the server does not listen there
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if asked++; resp.StatusCode != want {
					t.Errorf("listening on %s, %s by %s: got %d, want %d", addr, path, host, resp.StatusCode, want)
				}
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if asked < 12 {
		t.Errorf("only %d requests reached a server", asked)
	}
}

// TestArgumentsShowNoSecret: what was given as a flag is not shown, in whichever way it
// was given.
func TestArgumentsShowNoSecret(t *testing.T) {
	args := []string{"/usr/local/bin/projector", "run", "--database-url=postgres://u:hunter2@db/x", "--nats-password", "hunter2", "--nats-token=hunter2",
		"--json", "postgres://u:hunter2@db/x", "--lanes", "4"}
	got := strings.Join(withoutSecrets(args), " ")
	want := "/usr/local/bin/projector run --database-url=(hidden) --nats-password (hidden) --nats-token=(hidden) --json (hidden) --lanes (hidden)"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

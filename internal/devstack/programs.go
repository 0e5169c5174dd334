package devstack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const issuer = "https://devstack.example/auth/v1"

// startPrograms provisions the stream, starts projector, console and API on addresses that
// are free, has the history imported, and then starts the relay: what is in the outbox
// comes after the history.
func (s *stack) startPrograms(ctx context.Context, projector, api string) (err error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	s.secret = base64.RawURLEncoding.EncodeToString(secret)
	listeners, err := s.takeAddresses()
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}
	if s.health, err = s.serveHealth(ctx); err != nil { // while the addresses of the parts are held
		return err
	}
	forProjector, forRelay, forAPI := programSettings(s.database.url, s.outbox.url, s.nats.URL(), s.secret, s.apiAddr, s.consoleAddr, s.adminAddrs)
	provision, err := start(projector, "projector", s.dir, forProjector, "provision")
	if err != nil {
		return err
	}
	if err := s.finish(ctx, provision); err != nil {
		return err
	}
	for _, l := range listeners[:4] { // not earlier: another devstack may be looking for free ports
		l.Close()
	}
	if s.projector, err = start(projector, "projector", s.dir, forProjector, "run"); err != nil {
		return err
	}
	if s.console, err = start(projector, "console", s.dir, forProjector, "console", "--allow-acts"); err != nil {
		return err
	}
	if s.api, err = start(api, "api", s.dir, forAPI); err != nil {
		return err
	}
	if err := s.importHistory(ctx, forProjector); err != nil {
		return err
	}
	listeners[4].Close()
	s.relay, err = start(projector, "relay", s.dir, forRelay, "relay")
	return err
}

// programSettings returns the settings with which the programs are started, in addition to the
// environment. They override the user's own settings for another NATS or another
// issuer, and for a console behind a proxy: this one is for whoever is on this machine.
func programSettings(database, outbox, nats, secret, apiAddr, consoleAddr string, adminAddrs [3]string) (projector, relay, api []string) {
	projector = []string{"DATABASE_URL=" + database, "DATABASE_DIRECT_URL=", "OUTBOX_DATABASE_URL=" + outbox, "NATS_URL=" + nats, "NATS_CREDS=", "NATS_CA=", "NATS_CERT=", "NATS_KEY=", "NATS_NKEY=",
		"NATS_USER=", "NATS_PASSWORD=", "NATS_TOKEN=", "NATS_CONTEXT=", "NATS_JS_DOMAIN=", "NATS_JS_PREFIX=", "STREAM=CONTROL_PLANE", "LOG_FORMAT=text",
		"ADMIN_ADDR=" + adminAddrs[0], "CONSOLE_ADDR=" + consoleAddr, "CONSOLE_USER_HEADER=", "TRUSTED_PROXIES="}
	relay = append(slices.Clone(projector), "ADMIN_ADDR="+adminAddrs[2]) // the last one counts
	api = []string{"DATABASE_URL=" + database, "DATABASE_DIRECT_URL=", "LOG_FORMAT=text", "HTTP_ADDR=" + apiAddr, "ADMIN_ADDR=" + adminAddrs[1],
		"JWT_ISSUER=" + issuer, "JWT_SECRET=" + secret, "JWT_AUDIENCE=", "SUPABASE_URL=", "JWT_JWKS_URL="}
	return projector, relay, api
}

// Given returns settings like those with which the programs will be started, so that
// the caller can check before [Run] whether they fit the rest of the environment.
func Given() (projector, api []string) {
	projector, _, api = programSettings("postgres://127.0.0.1:1/x", "postgres://127.0.0.1:1/y", "nats://127.0.0.1:1", strings.Repeat("s", 32), "127.0.0.1:1", "127.0.0.1:1",
		[3]string{"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1"})
	return projector, api // the relay's differ from the projector's by an address
}

// takeAddresses finds loopback addresses, with the usual ports or, where those are
// taken, with free ones, and listens on them until the caller closes the listeners.
func (s *stack) takeAddresses() (listeners []net.Listener, err error) {
	usual := [...]int{8080, 9091, 9092, 9093, 9095} // 9094 is this program's own
	for i, address := range [...]*string{&s.apiAddr, &s.adminAddrs[0], &s.adminAddrs[1], &s.consoleAddr, &s.adminAddrs[2]} {
		port := usual[i]
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return listeners, err
			}
			s.printf("port %d is taken; using %s", port, l.Addr())
		}
		listeners = append(listeners, l)
		*address = l.Addr().String()
	}
	return listeners, nil
}

// programs finds projector and api in this program's folder, or builds them.
func programs(ctx context.Context, dir string) (projector, api string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", "", err
	}
	found := filepath.Dir(self)
	if !exists(filepath.Join(found, "projector")) || !exists(filepath.Join(found, "api")) {
		found = filepath.Join(dir, "bin")
		out, err := exec.CommandContext(ctx, "go", "build", "-o", found+string(filepath.Separator),
			"accountexport/cmd/projector", "accountexport/cmd/api").CombinedOutput()
		if err != nil {
			return "", "", fmt.Errorf("projector and api are not beside %s, and building them failed: %w\n%s", self, err, out)
		}
	}
	return filepath.Join(found, "projector"), filepath.Join(found, "api"), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

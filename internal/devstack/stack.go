package devstack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/stream"
)

// Options say what to run.
type Options struct {
	Keep        bool   // keep the data for the next run
	Dir         string // where to keep it; default: a folder in the user's cache
	Rate        int    // simulated events per second
	Accounts    int    // simulated accounts
	DatabaseURL string // use this PostgreSQL instead of starting one
	Out         io.Writer
}

const issuer = "https://devstack.example/auth/v1"

// stack is a running devstack. One goroutine, that of Run, sets and reads the fields; a
// field that is still nil was not started yet, and stop leaves it out.
type stack struct {
	opt Options

	dir  string
	lock *os.File // of the folder

	nats                *natsserver.Server
	pg                  *postgres.Server // nil if DATABASE_URL names one
	database            string           // its URL
	databaseDescription string           // without the password
	created             string           // the database created on the server of DATABASE_URL

	projectorBin string
	projector    *program
	api          *program
	apiAddr      string
	adminAddrs   [2]string // of projector and API
	secret       string    // JWT_SECRET

	client *stream.Client
	pool   *pgxpool.Pool
}

// Run starts everything, shows what happens until ctx ends, and stops everything. It
// returns nil when ctx ends, and an error when a part fails.
func Run(ctx context.Context, opt Options) (err error) {
	if ctx.Err() != nil {
		return nil // interrupted before anything started
	}
	s := &stack{opt: opt}
	defer s.stop()
	starting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err = s.start(starting); err == nil {
		err = s.live(ctx)
	}
	if ctx.Err() != nil {
		return nil // what ctx interrupted has not failed
	}
	return err
}

// start starts NATS, PostgreSQL and the programs, and connects to them.
func (s *stack) start(ctx context.Context) error {
	if err := s.openFolder(ctx); err != nil {
		return err
	}
	projector, api, err := programs(ctx, s.dir)
	if err != nil {
		return err
	}
	s.projectorBin = projector
	if s.opt.DatabaseURL == "" {
		s.printf("starting NATS and PostgreSQL …")
	} else {
		s.printf("starting NATS …")
	}
	if s.nats, err = natsserver.Start(natsserver.Options{Dir: filepath.Join(s.dir, "nats"), SyncAlways: true}); err != nil {
		return err
	}
	if err := s.openDatabase(ctx); err != nil {
		return err
	}
	if err := s.startPrograms(ctx, projector, api); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if s.client, err = stream.Connect(ctx, stream.Config{URL: s.nats.URL(), Name: "devstack", Logger: log}); err != nil {
		return err
	}
	if s.pool, err = pgxpool.New(ctx, s.database); err != nil {
		return err
	}
	return nil
}

// startPrograms provisions the stream, and starts projector and API on addresses that
// are free.
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
	forProjector, forAPI := programSettings(s.database, s.nats.URL(), s.secret, s.apiAddr, s.adminAddrs)
	provision, err := start(projector, s.dir, forProjector, "provision")
	if err != nil {
		return err
	}
	select {
	case <-provision.Ended():
		if provision.Err() != nil {
			return s.failure(provision)
		}
	case <-ctx.Done():
		provision.stop()
		return ctx.Err()
	}
	for _, l := range listeners { // not earlier: another devstack may be looking for free ports
		l.Close()
	}
	if s.projector, err = start(projector, s.dir, forProjector, "run"); err != nil {
		return err
	}
	s.api, err = start(api, s.dir, forAPI)
	return err
}

// programSettings returns the settings with which the programs are started, in addition to the
// environment. They override the user's own settings for another NATS or another
// issuer.
func programSettings(database, nats, secret, apiAddr string, adminAddrs [2]string) (projector, api []string) {
	return []string{"DATABASE_URL=" + database, "DATABASE_DIRECT_URL=", "NATS_URL=" + nats, "NATS_CREDS=", "NATS_CA=", "NATS_CERT=", "NATS_KEY=", "NATS_NKEY=",
			"NATS_USER=", "NATS_PASSWORD=", "NATS_TOKEN=", "NATS_CONTEXT=", "NATS_JS_DOMAIN=", "NATS_JS_PREFIX=", "STREAM=CONTROL_PLANE", "LOG_FORMAT=text",
			"ADMIN_ADDR=" + adminAddrs[0]},
		[]string{"DATABASE_URL=" + database, "DATABASE_DIRECT_URL=", "LOG_FORMAT=text", "HTTP_ADDR=" + apiAddr, "ADMIN_ADDR=" + adminAddrs[1],
			"JWT_ISSUER=" + issuer, "JWT_SECRET=" + secret, "JWT_AUDIENCE=", "SUPABASE_URL=", "JWT_JWKS_URL="}
}

// Given returns settings like those with which the programs will be started, so that
// the caller can check before [Run] whether they fit the rest of the environment.
func Given() (projector, api []string) {
	return programSettings("postgres://127.0.0.1:1/x", "nats://127.0.0.1:1", strings.Repeat("s", 32), "127.0.0.1:1", [2]string{"127.0.0.1:1", "127.0.0.1:1"})
}

// takeAddresses finds loopback addresses, with the usual ports or, where those are
// taken, with free ones, and listens on them until the caller closes the listeners.
func (s *stack) takeAddresses() (listeners []net.Listener, err error) {
	usual := [...]int{8080, 9091, 9092}
	for i, address := range [...]*string{&s.apiAddr, &s.adminAddrs[0], &s.adminAddrs[1]} {
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

// stop stops everything in order, beginning with the publisher.
func (s *stack) stop() {
	if s.client != nil {
		s.client.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
	s.api.stop()
	s.projector.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.closeDatabase(ctx)
	if s.nats != nil {
		s.nats.Stop()
	}
	s.closeFolder()
}

func (s *stack) printf(format string, args ...any) { fmt.Fprintf(s.opt.Out, format+"\n", args...) }

// waitForExport waits until the account's export is served.
func (s *stack) waitForExport(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		status, err := s.getExport(ctx, token)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-s.projector.Ended():
			return s.failure(s.projector)
		case <-s.api.Ended():
			return s.failure(s.api)
		case <-ctx.Done():
			return fmt.Errorf("the first export is not served (status %d, %v)\n%s\n%s", status, err, s.logTail(s.projector), s.logTail(s.api))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *stack) exportURL() string { return "http://" + s.apiAddr + "/v1/account/export" }

func (s *stack) getExport(ctx context.Context, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.exportURL(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func (s *stack) token(account events.UUID) (string, error) {
	return authtest.Mint(s.secret, issuer, account, "user0@example.org", 12*time.Hour)
}

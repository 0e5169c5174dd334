package devstack

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
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
	AdminAddr   string // where to serve health; another where it is taken
	Out         io.Writer
}

// stack is a running devstack. One goroutine, that of Run, sets and reads the fields; a
// field that is still nil was not started yet, and stop leaves it out.
type stack struct {
	opt Options

	dir  string
	lock *os.File // of the folder

	nats     *natsserver.Server
	pg       *postgres.Server // nil if DATABASE_URL names one
	database database         // of the read model
	outbox   database         // of the simulated control plane, with its outbox

	projectorBin string
	projector    *program
	api          *program
	relay        *program
	console      *program
	apiAddr      string
	consoleAddr  string
	adminAddrs   [3]string // of projector, API and relay
	secret       string    // JWT_SECRET
	health       *health

	client     *stream.Client
	pool       *pgxpool.Pool // of the read model's database
	outboxPool *pgxpool.Pool // of the control plane's
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
	if err := s.openDatabases(ctx); err != nil {
		return err
	}
	if s.outboxPool, err = openControlPlane(ctx, s.outbox.url); err != nil {
		return fmt.Errorf("the control plane's database: %w", err)
	}
	if err := writeHistory(ctx, s.outboxPool, s.dir, s.opt.Accounts); err != nil {
		return err
	}
	if err := s.startPrograms(ctx, projector, api); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if s.client, err = stream.Connect(ctx, stream.Config{URL: s.nats.URL(), Name: "devstack", Logger: log}); err != nil {
		return err
	}
	if s.pool, err = pgxpool.New(ctx, s.database.url); err != nil {
		return err
	}
	return nil
}

// stop stops everything in order. The simulated control plane has ended by then; what
// is in its outbox stays there.
func (s *stack) stop() {
	if s.health != nil {
		s.health.stop()
	}
	if s.client != nil {
		s.client.Close()
	}
	for _, pool := range []*pgxpool.Pool{s.pool, s.outboxPool} {
		if pool != nil {
			pool.Close()
		}
	}
	var wg sync.WaitGroup
	for _, p := range []*program{s.relay, s.console, s.api, s.projector} { // none needs another one's end
		wg.Go(p.stop)
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.closeDatabases(ctx)
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
		case <-s.relay.Ended():
			return s.failure(s.relay)
		case <-s.console.Ended():
			return s.failure(s.console)
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

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
	Dir         string // where; default: a folder of the user's cache
	Rate        int    // simulated events a second
	Accounts    int    // simulated accounts
	DatabaseURL string // use this PostgreSQL instead of starting one
	Out         *os.File
}

const issuer = "https://devstack.example/auth/v1"

// stack is what runs.
type stack struct {
	opt        Options
	dir        string
	secret     string
	nats       *natsserver.Server
	pg         *postgres.Server
	database   string
	projector  *child
	api        *child
	apiAddr    string
	watchAddrs [2]string // admin addresses of projector and API
	client     *stream.Client
	pool       *pgxpool.Pool
}

// Run starts everything, shows what it does until ctx ends, and ends it all.
func Run(ctx context.Context, opt Options) error {
	s := &stack{opt: opt}
	defer s.stop()
	starting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := s.start(starting); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return s.live(ctx)
}

func (s *stack) start(ctx context.Context) error {
	if err := s.makeDir(); err != nil {
		return err
	}
	projector, api, err := programs(ctx, s.dir)
	if err != nil {
		return err
	}
	s.say("starting NATS and PostgreSQL …")
	if s.nats, err = natsserver.Start(natsserver.Options{Dir: filepath.Join(s.dir, "nats"), SyncAlways: true}); err != nil {
		return err
	}
	if s.database = s.opt.DatabaseURL; s.database == "" {
		if s.pg, err = postgres.Start(ctx, postgres.Options{Dir: filepath.Join(s.dir, "postgres"), Durable: true}); err != nil {
			return err
		}
		s.database = s.pg.URL()
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

// makeDir makes the folder for everything; PostgreSQL's own user must be able
// to pass through it.
func (s *stack) makeDir() (err error) {
	if !s.opt.Keep && s.opt.Dir == "" {
		if s.dir, err = os.MkdirTemp("", "accountexport-devstack-"); err != nil {
			return err
		}
		return os.Chmod(s.dir, 0o711)
	}
	if s.dir = s.opt.Dir; s.dir == "" {
		if os.Geteuid() == 0 {
			// Root's own folders are closed to PostgreSQL's user.
			s.dir = "/var/tmp/accountexport-devstack"
		} else {
			cache, err := os.UserCacheDir()
			if err != nil {
				return err
			}
			s.dir = filepath.Join(cache, "accountexport-devstack")
		}
	}
	return os.MkdirAll(s.dir, 0o711)
}

func (s *stack) startPrograms(ctx context.Context, projector, api string) (err error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	s.secret = base64.RawURLEncoding.EncodeToString(secret)
	if s.apiAddr, err = s.address(8080); err != nil {
		return err
	}
	for i, port := range []int{9091, 9092} {
		if s.watchAddrs[i], err = s.address(port); err != nil {
			return err
		}
	}
	common := []string{"DATABASE_URL=" + s.database, "NATS_URL=" + s.nats.URL(), "STREAM=CONTROL_PLANE", "LOG_FORMAT=text"}
	provision, err := start(projector, s.dir, append(common, "ADMIN_ADDR="+s.watchAddrs[0]), "provision")
	if err != nil {
		return err
	}
	select {
	case <-provision.ended:
		if provision.err != nil {
			return provision.failure()
		}
	case <-ctx.Done():
		provision.stop()
		return ctx.Err()
	}
	if s.projector, err = start(projector, s.dir, append(common, "ADMIN_ADDR="+s.watchAddrs[0]), "run"); err != nil {
		return err
	}
	s.api, err = start(api, s.dir, append(common, "HTTP_ADDR="+s.apiAddr, "ADMIN_ADDR="+s.watchAddrs[1], "JWT_ISSUER="+issuer,
		"JWT_SECRET="+s.secret, "SUPABASE_URL=", "JWT_JWKS_URL="))
	return err
}

// address is a loopback address with the port, or with a free one where that
// is taken.
func (s *stack) address(port int) (string, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		s.say("port %d is taken; using %s", port, l.Addr())
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// stop ends everything in order, the producer's side first.
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
	if s.pg != nil {
		_ = s.pg.Stop(ctx)
	}
	if s.nats != nil {
		s.nats.Stop()
	}
	if s.dir != "" && !s.opt.Keep && s.opt.Dir == "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *stack) say(format string, args ...any) { fmt.Fprintf(s.opt.Out, format+"\n", args...) }

// await waits until the account's export is served.
func (s *stack) await(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		status, err := s.ask(ctx, token)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-s.projector.ended:
			return s.projector.failure()
		case <-s.api.ended:
			return s.api.failure()
		case <-ctx.Done():
			return fmt.Errorf("the first export is not served (status %d, %v); logs are in %s", status, err, s.dir)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *stack) exportURL() string { return "http://" + s.apiAddr + "/v1/account/export" }

func (s *stack) ask(ctx context.Context, token string) (int, error) {
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

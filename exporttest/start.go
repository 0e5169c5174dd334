package exporttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/child"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/testrun"
)

// Stream is the name of the stream.
const Stream = "CONTROL_PLANE"

// issuer is whose tokens the API accepts.
const issuer = "https://exporttest.example/auth/v1"

// patience bounds every wait. It is for a busy machine; usually it takes a moment.
const patience = time.Minute

// System is a running system. It is safe for concurrent use.
type System struct {
	URL         string              // of the export, for GET: http://127.0.0.1:PORT/v1/account/export
	NATSURL     string              // of the server, which asks for no credentials
	NATS        *nats.Conn          // a connection to it, which is closed when the test ends
	JetStream   jetstream.JetStream // on that connection
	DatabaseURL string              // of the read model

	secret         string // JWT_SECRET
	projector, api *program
}

// Start starts a system, which is stopped when the test ends. It returns once the
// projector follows the stream and the API listens.
func Start(t testing.TB) *System {
	t.Helper()
	testrun.Tool(t, "go", "https://go.dev/doc/install")
	x := &System{DatabaseURL: database(t), secret: rand.Text() + rand.Text()}
	bin, err := programs()
	if err != nil {
		t.Fatalf("exporttest: %v", err)
	}
	server, err := natsserver.Start(natsserver.Options{})
	if err != nil {
		t.Fatalf("exporttest: %v", err)
	}
	t.Cleanup(server.Stop)
	x.NATSURL = server.URL()
	if x.NATS, err = nats.Connect(x.NATSURL); err != nil {
		t.Fatalf("exporttest: connect to NATS: %v", err)
	}
	t.Cleanup(x.NATS.Close)
	if x.JetStream, err = jetstream.New(x.NATS); err != nil {
		t.Fatalf("exporttest: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	settings := []string{"DATABASE_URL=" + x.DatabaseURL, "LOG_FORMAT=json", "ADMIN_ADDR=127.0.0.1:0"}
	forProjector := append([]string{"NATS_URL=" + x.NATSURL, "STREAM=" + Stream, "LANES=1"}, settings...)
	provision := launch(t, filepath.Join(bin, "projector"), forProjector, "provision")
	if err := provision.succeeds(ctx); err != nil {
		t.Fatalf("exporttest: %v", err)
	}
	x.projector = launch(t, filepath.Join(bin, "projector"), forProjector, "run")
	x.api = launch(t, filepath.Join(bin, "api"), append([]string{"HTTP_ADDR=127.0.0.1:0", "JWT_ISSUER=" + issuer, "JWT_SECRET=" + x.secret}, settings...))
	if _, err := x.projector.logged(ctx, "following the stream"); err != nil {
		t.Fatalf("exporttest: %v", err)
	}
	serving, err := x.api.logged(ctx, "serving")
	if err != nil {
		t.Fatalf("exporttest: %v", err)
	}
	x.URL = "http://" + serving.HTTP + "/v1/account/export"
	return x
}

// Token is an access token of the account's user, as Supabase Auth makes them, good for
// an hour.
func (x *System) Token(account events.UUID) string {
	token, err := authtest.Mint(x.secret, issuer, account, "user@example.org", time.Hour)
	if err != nil {
		panic(err) // never happens: a text can always be signed with a text
	}
	return token
}

// ended is the error where a program has ended that should be running.
func (x *System) ended() error { return errors.Join(x.projector.ended(), x.api.ended()) }

// program is a process that is killed when the test ends, and what it has said.
type program struct {
	*child.Process
	name string
	out  *output
}

// launch starts a program with these settings, and no others of the environment.
func launch(t testing.TB, file string, settings []string, args ...string) *program {
	t.Helper()
	p := &program{name: strings.Join(append([]string{filepath.Base(file)}, args...), " "), out: newOutput()}
	cmd := exec.Command(file, args...)
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Env = append(cmd.Env, settings...)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	var err error
	if p.Process, err = child.Start(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("exporttest: start %s: %v", p.name, err)
	}
	t.Cleanup(func() {
		_ = p.Kill() // what it did not finish is in a database and a stream that go, too
		<-p.Ended()
		if t.Failed() {
			t.Logf("%s said at last:\n%s", p.name, p.out.tail())
		}
	})
	return p
}

// succeeds waits for the end of a program that is to end by itself.
func (p *program) succeeds(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", p.name, ctx.Err())
	case <-p.Ended():
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, err, p.out.tail())
	}
	return nil
}

// ended is the error where the program has ended.
func (p *program) ended() error {
	select {
	case <-p.Ended():
		return fmt.Errorf("%s has ended (%v): %s", p.name, p.Err(), p.out.tail())
	default:
		return nil
	}
}

// entry is what is looked at of a line of a log.
type entry struct{ Msg, HTTP string }

// logged waits until the program logs a message, and returns its entry.
func (p *program) logged(ctx context.Context, message string) (e entry, err error) {
	for {
		for _, line := range p.out.lines() {
			if json.Unmarshal(line, &e) == nil && e.Msg == message {
				return e, nil
			}
		}
		select {
		case <-p.out.grown:
		case <-p.Ended():
			return e, p.ended()
		case <-ctx.Done():
			return e, fmt.Errorf("%s does not get to %q: %w: %s", p.name, message, ctx.Err(), p.out.tail())
		}
	}
}

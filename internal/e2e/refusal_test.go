package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// refused is a stream that no longer is what was folded, how it comes to be so
// while the projector runs, and what the projector says.
type refused struct {
	name   string
	damage func(s *system, t *testing.T) (documents string) // as they were last
	status int
	says   []string
}

func refusedCases() []refused {
	return []refused{
		{"recreated", func(s *system, t *testing.T) string {
			documents := s.documents(t)
			recreate(t, s.nats.URL())
			return documents
		}, 12, []string{"the stream was recreated"}},
		{"recreated while NATS was away", func(s *system, t *testing.T) string {
			s.behindTheScenes(t, func(url string) { recreate(t, url) })
			return s.documents(t)
		}, 12, []string{"the stream was recreated"}},
		{"ends before the checkpoint", (*system).loseTheEnd, 13, []string{"the stream ends before the checkpoint"}},
		{"begins after the checkpoint", (*system).loseTheMiddle, 14, []string{"the stream begins after the checkpoint", "projector accept"}},
		{"another number of partitions", func(s *system, t *testing.T) string {
			s.repartition(t, 8)
			return s.documents(t)
		}, 15,
			[]string{"the stream has another number of partitions", "has 8", "with 16"}},
	}
}

// TestRefusals: the projector ends with an exit status of its own for each way
// in which a stream can have lost what was folded, while it runs and at start,
// and says the ways out; the API serves on what there is, to the byte.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range refusedCases() {
		t.Run(c.name, func(t *testing.T) {
			s, before := newWithSomeone(t)
			projector := launch(t, "projector", s.settings, "run")
			eventually(t, "everything projected", time.Minute, s.caughtUp)
			served := before()
			documents := c.damage(s, t)
			for _, when := range []string{"while running", "at start"} {
				if when == "at start" {
					projector = launch(t, "projector", s.settings, "run")
				}
				status, out := projector.wait(), projector.out.tail(1<<16)
				if status != c.status {
					t.Fatalf("%s: exit %d, want %d: %s", when, status, c.status, out)
				}
				for _, want := range append(c.says, "still served", "restore", "projector rebuild", "accept") {
					if !strings.Contains(out, want) {
						t.Errorf("%s: %q is not said: %s", when, want, out)
					}
				}
				if out, status := command(t, "projector", s.settings, "status"); status != c.status || !strings.Contains(out, c.says[0]) {
					t.Errorf("%s: status ends with %d, want %d and %q: %s", when, status, c.status, c.says[0], out)
				}
				s.saysWithoutContradiction(t, c.status)
				if now := s.documents(t); now != documents {
					t.Errorf("%s: documents were touched", when)
				}
				if now := before(); now != served {
					t.Errorf("%s: served is %s, and was %s", when, now, served)
				}
			}
		})
	}
	t.Run("another stream", func(t *testing.T) {
		s, before := newWithSomeone(t)
		projector := launch(t, "projector", s.settings, "run")
		eventually(t, "everything projected", time.Minute, s.caughtUp)
		served := before()
		projector.signal(syscall.SIGTERM)
		projector.wait()
		deleteStream(t, s.nats.URL())
		s.settings["STREAM"] = "OTHER"
		if out, status := command(t, "projector", s.settings, "provision", "--new-stream"); status != 0 {
			t.Fatalf("provision: exit %d: %s", status, out)
		}
		out, status := command(t, "projector", s.settings, "run")
		if status != 11 || !strings.Contains(out, "this is another stream: it is OTHER, and the documents were folded from CONTROL_PLANE") {
			t.Errorf("exit %d: %s", status, out)
		}
		s.saysWithoutContradiction(t, 11)
		if now := before(); now != served {
			t.Errorf("served is %s, and was %s", now, served)
		}
	})
}

// saysWithoutContradiction: `status --json` of a stream that is refused ends with
// the same status, and has no position beyond the end that it tells.
func (s *system) saysWithoutContradiction(t *testing.T, want int) {
	t.Helper()
	out, status := command(t, "projector", s.settings, "status", "--json")
	l, err := lookIn(out)
	if err != nil || status != want || l.agrees() != nil {
		t.Errorf("status --json: exit %d, want %d; %v, %v: %s", status, want, err, l.agrees(), out)
	}
	if unlike := want == 11 || want == 12 || want == 13 || want == 16; unlike != (l.StreamEnd == nil) {
		t.Errorf("status --json: the end of a stream that is refused with %d: %s", want, out)
	}
}

// TestBeginningMovesOn: a stream that begins late since its first messages were
// an account's that was erased has lost nothing, however long ago the projector
// was started, nor has one whose beginning was gone before anybody projected it.
func TestBeginningMovesOn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.marked(t, another, 20)
	if err := s.publish(t.Context(), workload.New(52, workload.Config{Accounts: 5}), 30, 0); err != nil {
		t.Fatal(err)
	}
	purge(t, jetStream(t, s.nats.URL()), 11)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.erase(t, another, 0, nothingLeft)
	info, err := s.client.Info(t.Context())
	if err != nil || info.First != 21 {
		t.Fatalf("the stream begins at %d, %v", info.First, err)
	}
	if err := s.publish(t.Context(), workload.New(53, workload.Config{Accounts: 5}), 300, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.says(t, 0, "", "status")
	projector.signal(syscall.SIGTERM)
	if status := projector.wait(); status != 0 {
		t.Errorf("exit %d", status)
	}
}

// newWithSomeone is a system with an API, and events of some accounts and of
// someone; served tells what the API answers someone.
func newWithSomeone(t *testing.T) (s *system, served func() string) {
	t.Helper()
	s = newSystem(t)
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	token, err := authtest.Mint(jwtSecret, issuer, account, "someone@example.org", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	serve := freeAddr(t)
	launch(t, "api", map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": serve, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	s.makeSomeone(t, account)
	if err := s.publish(t.Context(), workload.New(51, workload.Config{Accounts: 5}), 300, 0); err != nil {
		t.Fatal(err)
	}
	return s, func() (answer string) {
		eventually(t, "someone to be served", 20*time.Second, func(ctx context.Context) error {
			status, h, body, err := get(ctx, "http://"+serve+"/v1/account/export", token)
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %v: %s", status, err, body)
			}
			answer = fmt.Sprintf("%s\n%s\n%s", h.Get("ETag"), h.Get("Export-Position"), body)
			return nil
		})
		return answer
	}
}

// makeSomeone publishes what makes an account complete.
func (s *system) makeSomeone(t *testing.T, account events.UUID) {
	t.Helper()
	meta := events.Meta{ID: "s", Source: "/test", Time: events.TimeOf(time.Now())}
	for _, make := range []func() (events.Message, error){
		func() (events.Message, error) {
			return events.NewQuotaTierDefined(meta, events.QuotaTierDefined{ID: "someones", DisplayName: "Someone's"})
		},
		func() (events.Message, error) {
			return events.NewUserRegistered(meta, account, events.UserRegistered{Email: "someone@example.org", Tier: "t", QuotaTierID: "someones"})
		},
		func() (events.Message, error) {
			return events.NewTeamCreated(meta, account, events.TeamCreated{ID: account, Name: "n", Slug: "s", QuotaTierID: "someones"})
		},
	} {
		m, err := make()
		if err == nil {
			_, err = s.client.PublishRaw(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// behindTheScenes does something to the stream while the programs cannot reach
// NATS, and lets them reach it again.
func (s *system) behindTheScenes(t *testing.T, do func(url string)) {
	t.Helper()
	s.nats.Halt()
	other, err := natsserver.Start(natsserver.Options{Dir: s.nats.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	do(other.URL())
	other.Halt()
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReplacedEndIsRefused: a stream that lost its end, and has grown beyond the
// checkpoint again before the projector looks, is another stream to it.
func TestReplacedEndIsRefused(t *testing.T) {
	t.Parallel()
	s, before := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	documents := s.loseTheEndOnce(t, func() { projector.signal(syscall.SIGSTOP) })
	served := before()
	eventually(t, "more than was lost to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(55, workload.Config{Accounts: 5}), 300, 0)
	})
	projector.signal(syscall.SIGCONT)
	status, out := projector.wait(), projector.out.tail(1<<16)
	if status != 16 {
		t.Fatalf("exit %d, want 16: %s", status, out)
	}
	for _, want := range []string{"still served", "restore", "projector rebuild", "accept"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said: %s", want, out)
		}
	}
	s.saysWithoutContradiction(t, 16)
	if s.documents(t) != documents || before() != served {
		t.Error("documents were touched")
	}
}

// loseTheEnd takes the stream back to where it was a hundred messages ago, as
// an old backup would.
func (s *system) loseTheEnd(t *testing.T) (documents string) { return s.loseTheEndOnce(t, func() {}) }

// loseTheEndOnce loses the end once all of it is projected and first has run.
func (s *system) loseTheEndOnce(t *testing.T, first func()) (documents string) {
	t.Helper()
	backup := t.TempDir()
	s.nats.Halt()
	if err := os.CopyFS(backup, os.DirFS(s.nats.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "more to be published", time.Minute, func(ctx context.Context) error {
		return s.publish(ctx, workload.New(54, workload.Config{Accounts: 5}), 100, 0)
	})
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	documents = s.documents(t)
	first()
	s.nats.Halt()
	if err := os.RemoveAll(s.nats.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.nats.Dir(), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if err := s.nats.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return documents
}

// loseTheMiddle publishes a hundred messages and removes all but the last ten,
// unseen by the projector.
func (s *system) loseTheMiddle(t *testing.T) (documents string) {
	t.Helper()
	documents = s.documents(t)
	s.behindTheScenes(t, func(url string) {
		client, err := stream.Connect(t.Context(), stream.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		unseen := &system{client: client}
		if err := unseen.publish(t.Context(), workload.New(55, workload.Config{Accounts: 5}), 100, 0); err != nil {
			t.Fatal(err)
		}
		info, err := client.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		purge(t, jetStream(t, url), info.Last-9)
	})
	return documents
}

func (s *system) repartition(t *testing.T, partitions int) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	cfg.SubjectTransform.Destination = fmt.Sprintf("controlplane.{{partition(%d,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", partitions)
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func jetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func purge(t *testing.T, js jetstream.JetStream, before uint64) {
	t.Helper()
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(t.Context(), jetstream.WithPurgeSequence(before)); err != nil {
		t.Fatal(err)
	}
}

func deleteStream(t *testing.T, url string) {
	t.Helper()
	if err := jetStream(t, url).DeleteStream(t.Context(), "CONTROL_PLANE"); err != nil {
		t.Fatal(err)
	}
}

// recreate puts an empty stream in the place of the one that is there.
func recreate(t *testing.T, url string) {
	t.Helper()
	deleteStream(t, url)
	client, err := stream.Connect(t.Context(), stream.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
}

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
)

// TestMessageWithoutPartition: what was published while the stream's subject
// transform was missing is its account's for the live fold, `verify`, `history`,
// `export`, a refold, a rebuild and an erasure alike.
func TestMessageWithoutPartition(t *testing.T) {
	t.Parallel()
	s, served := newWithSomeone(t)
	projector := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	projector.signal(syscall.SIGTERM)
	projector.wait()
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	name := "Without a partition"
	m, err := events.NewUserProfileUpdated(events.Meta{ID: "bare", Source: "/test", Time: events.TimeOf(time.Now())}, account,
		events.UserProfileUpdated{Name: events.Some(name)})
	if err != nil {
		t.Fatal(err)
	}
	position := s.publishBare(t, m)
	projector = launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	if now := served(); !strings.Contains(now, name) {
		t.Fatalf("the live fold has left it out: %s", now)
	}
	s.verify(t)
	said := func(want string, args ...string) {
		t.Helper()
		if out, status := command(t, "projector", s.settings, args...); status != 0 || !strings.Contains(out, want) {
			t.Errorf("%v: exit %d, want %q: %s", args, status, want, out)
		}
	}
	said(" 0 differ", "verify", "--all")
	said(name, "history", "--account", someone)
	said(name, "export", "--account", someone)
	said(" 0 have changed", "refold", "--account", someone)
	said(" 0 of them differ", "rebuild")
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
	said("left               0 messages, 0 rows", "erase", "--account", someone)
	if _, err := s.client.Get(t.Context(), position); err == nil {
		t.Errorf("message %d is still there", position)
	}
	if out := projector.out.tail(1 << 20); strings.Contains(out, "differs from a fold") {
		t.Errorf("the audit found a difference where there is none: %s", out)
	}
}

// publishBare publishes a message while the stream has no subject transform.
func (s *system) publishBare(t *testing.T, m events.Message) (position uint64) {
	t.Helper()
	js := jetStream(t, s.nats.URL())
	st, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := st.CachedInfo().Config
	transform := cfg.SubjectTransform
	cfg.SubjectTransform = nil
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if position, err = s.client.PublishRaw(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	cfg.SubjectTransform = transform
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return position
}

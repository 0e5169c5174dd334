package e2e

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// withStreamOf are the settings with the database of one deployment and the stream of another.
func withStreamOf(database, other *system) map[string]string {
	out := maps.Clone(database.settings)
	out["NATS_URL"] = other.settings["NATS_URL"]
	return out
}

// publishRegistered publishes the registration of an account, and a message that is parked.
func (s *system) publishRegistered(t *testing.T, account, name string) {
	t.Helper()
	meta := events.Meta{ID: account + name, Source: "/test", Time: events.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))}
	m, err := events.NewUserRegistered(meta, uuid(t, account), events.UserRegistered{Email: name + "@example.org", Tier: "free", QuotaTierID: "free"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []events.Message{m, {Subject: events.AccountSubject(uuid(t, account)), Data: []byte("no event")}} {
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnotherStreamChangesNothing: every command that writes what it reads from a stream is given
// the database of one deployment and the stream of another. Each refuses as `run` does, and changes
// neither.
func TestAnotherStreamChangesNothing(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	production.settings["AUDIT_RATE"] = "0"
	projector := production.startProjector(t)
	for _, s := range []*system{production, staging} {
		s.publishRegistered(t, another, "same") // at the same position in both
	}
	production.publishRegistered(t, someone, "real")
	staging.publishRegistered(t, someone, "fake")
	staging.publishRegistered(t, someone, "more")
	production.waitProjected(t)
	staging.updateStream(t, func(c *jetstream.StreamConfig) { c.Metadata = nil })
	projector.stop(t)
	// An earlier program would have left the rows like this.
	if _, err := production.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET counted_at = NULL, version_minor = -1`); err != nil {
		t.Fatal(err)
	}
	if _, err := production.pool.Exec(t.Context(), `UPDATE export.generations SET refolded_minor = -1`); err != nil {
		t.Fatal(err)
	}
	rows, messages := production.storedRows(t), staging.streamSummary(t)
	for _, args := range [][]string{
		{"run"},
		{"refold", "--account", someone},
		{"refold", "--account", someone, "--accept-loss"},
		{"parked", "retry", "--account", someone},
		{"parked", "retry", "--all"},
		{"verify", "--account", another},
		{"verify", "--all"},
		{"verify", "--all", "--json"},
		{"provision"},
		{"erase", "--account", someone, "--dry-run"},
		{"erase", "--account", someone, "--yes"},
		{"erase", "--account", strings.Repeat("0", 8) + another[8:]}, // an unknown account
		{"accept", "--yes"},
	} {
		out, status := command(t, "projector", withStreamOf(production, staging), args...)
		if status != 12 || !strings.Contains(out, "the stream was recreated") || !strings.Contains(out, "still served") {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
		if now := production.storedRows(t); now != rows {
			t.Errorf("%v: something else is stored", args)
			rows = now
		}
		if now := staging.streamSummary(t); now != messages {
			t.Errorf("%v: the other stream had %s, and has %s", args, messages, now)
			messages = now
		}
	}
	f := &acts.Refolder{Target: acts.Target{Stream: staging.client, Pool: production.pool}, OnChanged: func(string) {}, OnSkipped: func(string, error) {}}
	if done, err := f.RetryDue(t.Context(), func(int64, int, int) {}); done || !errors.Is(err, stream.ErrRecreated) || production.storedRows(t) != rows {
		t.Errorf("in the background: %v, %v", done, err)
	}
	production.mustRun(t, 0, " 0 differ", "verify", "--all")
	if production.storedRows(t) == rows {
		t.Error("by its own stream, nothing is noted either: the test shows nothing")
	}
	staging.mustRun(t, 0, "", "provision")
}

// TestReplacedEndRefoldsNothing: the stream lost its end and has grown again while no projector
// ran. No command refolds from it.
func TestReplacedEndRefoldsNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	projector := s.startProjector(t)
	s.publishRegistered(t, another, "other")
	s.waitProjected(t)
	restore := s.backUpNATS(t)
	s.publishRegistered(t, someone, "real")
	s.waitProjected(t)
	projector.stop(t)
	restore()
	s.publishRegistered(t, someone, "fake")
	rows, messages := s.storedRows(t), s.streamSummary(t)
	for _, args := range [][]string{{"status"}, {"refold", "--account", someone}, {"parked", "retry", "--all"}, {"verify", "--all"},
		{"erase", "--account", someone}, {"provision"}} {
		s.mustRun(t, 16, "another message than the one that was folded", args...)
		if s.storedRows(t) != rows || s.streamSummary(t) != messages {
			t.Errorf("%v has changed something", args)
		}
	}
}

// TestNoErasureByAMirror: when STREAM names a mirror, an erasure publishes nothing, since that
// would be stored in the stream and not in the mirror.
func TestNoErasureByAMirror(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishRegistered(t, someone, "real")
	s.waitProjected(t)
	js := jetStream(t, s.nats.URL())
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	messages := s.streamSummary(t)
	settings := maps.Clone(s.settings)
	settings["STREAM"] = "MIRROR"
	if out, status := command(t, "projector", settings, "erase", "--account", someone); status == 0 || s.streamSummary(t) != messages {
		t.Errorf("exit %d, and the stream holds %s: %s", status, s.streamSummary(t), out)
	}
	if _, err := s.client.WithStream("MIRROR").PublishErased(t.Context(), uuid(t, someone), time.Now()); err == nil || s.streamSummary(t) != messages {
		t.Errorf("published: %v, and the stream holds %s", err, s.streamSummary(t))
	}
	missing := errors.Join(s.client.WithStream("MIRROR").CanErase(t.Context(), uuid(t, someone))...)
	if missing == nil || !strings.Contains(missing.Error(), "stream CONTROL_PLANE takes it") {
		t.Errorf("what is missing: %v", missing)
	}
	// In a copy the headers that were meant for the server alone are missing.
	mark := func(header http.Header) [16]byte {
		return engine.FingerprintOf(&projections.Message{Message: events.Message{Subject: "a", Header: header}}).Digest
	}
	if mark(http.Header{"Nats-Expected-Stream": {"S"}, "A": {"1"}}) != mark(http.Header{"A": {"1"}}) || mark(http.Header{"A": {"1"}}) == mark(nil) {
		t.Error("a message has another mark in a copy")
	}
}

// TestRollBackIsByTheGenerationsStream: a rollback with another stream would carry out the ledger's
// erasures there, and a cut-over would give up what was built. Both are refused before.
func TestRollBackIsByTheGenerationsStream(t *testing.T) {
	t.Parallel()
	production, staging := newSystem(t), newSystem(t)
	production.startProjector(t)
	production.publishRegistered(t, someone, "real")
	staging.publishRegistered(t, someone, "fake")
	production.waitProjected(t)
	production.erase(t, someone, 0, nothingLeft)
	production.mustRun(t, 0, "is live", "rebuild")
	messages := staging.streamSummary(t)
	out, status := command(t, "projector", withStreamOf(production, staging), "rollback")
	if status != 12 || staging.streamSummary(t) != messages {
		t.Errorf("exit %d, and the other stream had %s, and has %s: %s", status, messages, staging.streamSummary(t), out)
	}
	production.mustRun(t, 0, "generation 1 is live", "rollback")
	production.mustRun(t, 0, "generation 3 is ready", "rebuild", "--cutover=manual")
	out, status = command(t, "projector", withStreamOf(production, staging), "cutover")
	if status != 12 || staging.streamSummary(t) != messages {
		t.Errorf("exit %d, and the other stream had %s, and has %s: %s", status, messages, staging.streamSummary(t), out)
	}
	production.mustRun(t, 0, "generation 3 is live", "cutover")
}

package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
)

// TestStreamIsHeldAgainstTheContract: whatever of the stream's settings is not as the
// contract wants it is shown with what it is and what it should be, and so is what is
// right; a mirror appears among the copies, and a message that nobody removed among what
// is missing.
func TestStreamIsHeldAgainstTheContract(t *testing.T) {
	s := newStack(t)
	if err := (acts.Gaps{Target: acts.NewTarget(s.client, s.pool)}).RecordBaseline(t.Context()); err != nil { // as `projector run` does
		t.Fatal(err)
	}
	var v streamView
	s.getJSON(t, "/api/stream", &v)
	if v.Wrong != 0 || len(v.Settings) != 21 || len(v.Copies) != 0 || v.Gaps.State != "whole" || v.Folded == nil || !v.Folded.Same || len(v.Run) != 0 {
		t.Fatalf("of a stream that is as it should be: %+v", v)
	}
	js := s.jetStream(t)
	str, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	cfg := str.CachedInfo().Config
	cfg.MaxAge, cfg.MaxMsgs, cfg.Discard = 1e9*3600, 1_000_000, jetstream.DiscardOld
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	testrun.Eventually(t, "the page has looked again", func() bool {
		v = streamView{}
		s.getJSON(t, "/api/stream", &v)
		return v.Wrong == 3 && len(v.Copies) == 1
	})
	page := s.get(t, "/stream", http.StatusOK)
	for _, want := range []string{"MIRROR", "mirrors", "1h0m0s", "1000000"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q:\n%s", want, page)
		}
	}
}

// jetStream is a connection of the test's own.
func (s *stack) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.client.Servers())
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

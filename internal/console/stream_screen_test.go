package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
	"accountexport/projections/engine"
)

// TestStreamIsHeldAgainstTheContract: whatever of the stream's settings is not as the
// contract wants it is shown with what it is and what it should be, and so is what is
// right; a mirror appears among the copies, and a message that nobody removed among what
// is missing, with the exit status of `projector run`.
func TestStreamIsHeldAgainstTheContract(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	var v streamView
	s.getJSON(t, "/api/stream", &v)
	if v.Gaps.State != "unrecorded" {
		t.Errorf("of a stream that `projector run` has not read yet: %+v", v.Gaps)
	}
	if err := (acts.Gaps{Target: acts.NewTarget(s.client, s.pool)}).RecordBaseline(t.Context()); err != nil { // as `projector run` does
		t.Fatal(err)
	}
	s.stream(t, &v, "nothing is missing", func() bool { return v.Gaps.State == "whole" })
	if v.Wrong != 0 || len(v.Settings) < 20 || len(v.Copies) != 0 || v.Folded == nil || !v.Folded.Same || len(v.Run) != 0 {
		t.Errorf("of a stream that is as it should be: %+v", v)
	}
	m, err := events.NewQuotaTierDefined(meta("1"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	first := s.publish(t, m, err)
	m, err = events.NewQuotaTierDefined(meta("2"), events.QuotaTierDefined{ID: "pro", DisplayName: "Pro"})
	s.publish(t, m, err)

	js := s.jetStream(t)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	hostile, err := json.Marshal(jetstream.StreamConfig{Name: hostileName, Sources: []*jetstream.StreamSource{{Name: "MIRROR"}}, DenyPurge: true})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := js.Conn().Request("$JS.API.STREAM.CREATE."+hostileName, hostile, 5*time.Second); err != nil || strings.Contains(string(answer.Data), "error") {
		t.Fatalf("%v: %s", err, answer.Data)
	}
	s.stream(t, &v, "the copies have all", func() bool {
		return len(v.Copies) == 2 && v.Copies[0].Messages == 2 && v.Copies[1].Messages == 2
	})
	slices.SortFunc(v.Copies, func(a, b copyView) int { return strings.Compare(b.How, a.How) })
	if c := v.Copies[0]; c.Name != hostileName || c.How != "sources from" || !slices.Equal(c.From, []string{"MIRROR"}) || c.Denies != "deny_purge" {
		t.Errorf("the stream that sources: %+v", c)
	}
	if c := v.Copies[1]; c.Name != "MIRROR" || c.How != "mirrors" || !slices.Equal(c.From, []string{"CONTROL_PLANE"}) || c.Denies != "" {
		t.Errorf("the mirror: %+v", c)
	}

	str, err := js.Stream(t.Context(), "CONTROL_PLANE")
	if err != nil {
		t.Fatal(err)
	}
	if err := str.DeleteMsg(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	cfg := str.CachedInfo().Config
	cfg.MaxMsgs, cfg.MaxBytes, cfg.MaxAge, cfg.MaxMsgsPerSubject, cfg.MaxMsgSize, cfg.Discard = 1_000_000, 1<<20, time.Hour, 1000, 1<<20, jetstream.DiscardOld
	cfg.AllowRollup, cfg.AllowMsgTTL, cfg.DenyDelete, cfg.DenyPurge, cfg.NoAck, cfg.Metadata = true, true, true, true, true, nil
	cfg.AllowRollup = false // the server refuses it together with deny_purge
	cfg.RePublish = &jetstream.RePublish{Source: "controlplane.>", Destination: "again.>"}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	info, err := s.client.Info(t.Context())
	if err != nil || len(info.Deviations) < 11 {
		t.Fatalf("the guard knows %v: %v", info.Deviations, err)
	}
	s.stream(t, &v, "all settings are seen to be wrong", func() bool { return v.Wrong == len(info.Deviations) && len(v.Run) > 0 })
	var wrong []engine.Deviation
	for i, set := range v.Settings {
		if set.Right != (i >= v.Wrong) {
			t.Errorf("row %d of the settings, of which %d are wrong: %+v", i, v.Wrong, set)
		}
		if !set.Right {
			wrong = append(wrong, engine.Deviation{What: set.What, Have: set.Have, Want: set.Want})
		}
		if set.What == "id" && set.Mend != "projector provision" {
			t.Errorf("a missing id is mended by %q", set.Mend)
		}
	}
	if diff := cmp.Diff(info.Deviations, wrong); diff != "" {
		t.Errorf("shown are other settings than the guard finds (-guard +shown):\n%s", diff)
	}
	page := s.get(t, "/stream", http.StatusOK)
	for _, d := range info.Deviations {
		for _, text := range []string{d.What, d.Have} {
			if !strings.Contains(page, html.EscapeString(text)) {
				t.Errorf("the page does not say %q, of %v", text, d)
			}
		}
	}
	if v.Gaps.State != "lost" || v.Gaps.Unexplained != 1 || v.Gaps.Positions != fmt.Sprint(first) {
		t.Errorf("of a message that nobody removed: %+v", v.Gaps)
	}
	if !strings.Contains(v.Run[0].Text, "exit status 18") || !slices.Contains(v.Run[0].Commands, "projector accept") && !strings.Contains(v.Run[0].Text, "`projector accept`") {
		t.Errorf("what `projector run` says: %+v", v.Run)
	}
	if strings.Contains(page, hostileName) || !strings.Contains(page, `&lt;b\u202e&#34;copy&amp;`) {
		t.Errorf("the name of a stream is not made harmless:\n%s", page)
	}

	cfg.SubjectTransform = nil
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s.stream(t, &v, "a stream without partitions is told", func() bool {
		return len(v.Run) > 0 && strings.Contains(v.Run[0].Text, "exit status 15") && v.Settings[v.Wrong-1].What == "subject_transform"
	})
	if v.Failed != "" || v.Partitions != 0 || v.Gaps.State != "unknown" {
		t.Errorf("of a stream without partitions: %+v", v)
	}
}

// hostileName is what a stream may be called.
const hostileName = "<b\u202e\"copy&"

// TestStreamIsAskedOnceForAll: however many look at the stream, it is asked once in five
// seconds, and by nobody of them.
func TestStreamIsAskedOnceForAll(t *testing.T) {
	t.Parallel()
	count := &counter{statements: make(chan string, 1<<16)}
	s := newStack(t, func(c *Config) { c.Pool = countedPool(t, c.Pool, count) })
	var mu sync.Mutex
	var asked []time.Time
	s.c.facts.mu.Lock()
	read := s.c.facts.read
	s.c.facts.read = func(ctx context.Context) *streamFacts {
		mu.Lock()
		asked = append(asked, time.Now())
		mu.Unlock()
		return read(ctx)
	}
	s.c.facts.mu.Unlock()
	var all sync.WaitGroup
	began := time.Now()
	for range 40 {
		all.Go(func() {
			if resp, err := http.Get(s.url + "/stream"); err != nil {
				t.Error(err)
			} else if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	all.Wait()
	if taken := count.taken(); len(taken) > 0 {
		t.Errorf("pages have asked the database themselves: %q", taken)
	}
	s.follows(t, "stream", "Limits and modes")
	mu.Lock()
	defer mu.Unlock()
	if most := 1 + int(time.Since(began)/factsEvery); len(asked) == 0 || len(asked) > most {
		t.Errorf("the stream was asked %d times for 40 pages, want %d at most", len(asked), most)
	}
}

// stream asks for the stream's screen until it shows something.
func (s *stack) stream(t *testing.T, v *streamView, what string, shows func() bool) {
	t.Helper()
	testrun.Eventually(t, what, func() bool {
		s.c.facts.mu.Lock()
		if f := s.c.facts.last; f != nil {
			old := *f
			old.At = time.Time{} // so that it looks again, and not in five seconds
			s.c.facts.last = &old
		}
		s.c.facts.mu.Unlock()
		*v = streamView{}
		s.getJSON(t, "/api/stream", v)
		return shows()
	})
}

// follows requires that whoever follows a topic is sent a part of a page with a text.
func (s *stack) follows(t *testing.T, topic, text string) {
	t.Helper()
	resp, err := http.Get(s.url + "/events?topic=" + topic)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if !strings.Contains(data, text) {
				t.Errorf("topic %s: %s", topic, data)
			}
			return
		}
	}
	t.Errorf("topic %s: nothing was sent: %v", topic, lines.Err())
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

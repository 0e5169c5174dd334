package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// secret is in every text of an event that people make up.
const secret = "MARKER-of-a-person"

// accounts publishes so many complete accounts with a sandbox each, and waits until they
// are projected.
func (s *stack) accounts(t *testing.T, n int) (all []events.UUID) {
	t.Helper()
	var messages []events.Message
	add := func(m events.Message, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	add(events.NewQuotaTierDefined(events.NewMeta("/test"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"}))
	for i := range n {
		id := events.NewUUID()
		all = append(all, id)
		text := fmt.Sprintf("%s %d", secret, i)
		add(events.NewUserRegistered(events.NewMeta("/test"), id, events.UserRegistered{Email: fmt.Sprintf("%s-%d@example.com", secret, i), Tier: "free", QuotaTierID: "free", Name: &text}))
		add(events.NewTeamCreated(events.NewMeta("/test"), id, events.TeamCreated{ID: events.NewUUID(), Name: text, Slug: "team", QuotaTierID: "free"}))
		add(events.NewSandboxCreated(events.NewMeta("/test"), id, events.SandboxCreated{ID: fmt.Sprintf("sbx-%d", i), Template: text}))
	}
	var last uint64
	for _, m := range messages {
		position, err := s.client.PublishRaw(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		last = position
	}
	s.projected(t, last)
	return all
}

// backlog publishes so many messages of accounts that are never complete, and waits until
// they are projected: a rebuild ends where it is within a thousand of the stream's end.
func (s *stack) backlog(t *testing.T, n int) {
	t.Helper()
	sent, failed := 0, error(nil)
	all, err := s.client.PublishAll(t.Context(), func() (m events.Message, more bool) {
		if sent++; sent > n || failed != nil {
			return m, false
		}
		m, failed = events.NewUserEmailVerified(events.NewMeta("/test"), events.NewUUID())
		return m, failed == nil
	})
	if err != nil || failed != nil || all != n {
		t.Fatalf("%d of %d messages: %v, %v", all, n, err, failed)
	}
	info, err := s.client.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.projected(t, info.Last)
}

// fragments follows a topic: its fragments, until one of them is found by which the test
// knows enough.
func (s *stack) fragments(t *testing.T, topic, what string, enough func(html string) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/events?topic="+url.QueryEscape(topic), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 8<<20)
	var html string
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var text string
		if err := json.Unmarshal([]byte(data), &text); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			continue
		}
		if html = text; enough(html) {
			return
		}
	}
	t.Fatalf("following %s until %s: %v; last it was:\n%s", topic, what, lines.Err(), html)
}

// readAlways reads an account as the API does, again and again, until stop is called, which
// gives how often: no read may fail, or find another document.
func (s *stack) readAlways(t *testing.T, account events.UUID) (stop func() int) {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), s.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	reader := export.NewReader(pool)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		n := 0
		var first string
		for ; ctx.Err() == nil; n++ {
			d, err := reader.Open(context.WithoutCancel(ctx), account)
			var body strings.Builder
			if err == nil {
				_, err = d.WriteTo(&body)
				d.Close()
			}
			if first == "" {
				first = body.String()
			}
			if err != nil || body.String() != first {
				t.Errorf("read %d: %v, %q, and the first was %q", n, err, body.String(), first)
				break
			}
		}
		ended <- n
	}()
	t.Cleanup(func() { cancel(); pool.Close() })
	return func() int {
		cancel()
		return <-ended
	}
}

// begin asks for an act, and gives it as it is then.
func (s *stack) begin(t *testing.T, name string, fields map[string]string) (v jobView) {
	t.Helper()
	if err := s.tryAct(name, fields, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *stack) tryAct(name string, fields map[string]string, into *jobView) error {
	b, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	resp, err := http.Post(s.url+"/api/acts/"+name, "application/json", strings.NewReader(string(b)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("act %s: status %d, %v", name, resp.StatusCode, err)
	}
	return nil
}

// ended waits until an act has ended.
func (s *stack) ended(t *testing.T, id string) (v jobView) {
	t.Helper()
	testrun.Eventually(t, "the act has ended", func() bool {
		v = jobView{}
		s.getJSON(t, "/api/jobs/"+id, &v)
		return v.Ended != nil
	})
	return v
}

// compared is a job's result as a comparison.
func compared(t *testing.T, v jobView) (c comparisonView) {
	t.Helper()
	b, err := json.Marshal(v.Result)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Generation == 0 {
		t.Fatalf("the act has no comparison: %+v, %v", v, err)
	}
	return c
}

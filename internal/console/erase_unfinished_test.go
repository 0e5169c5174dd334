package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// TestErasuresGoOnWhereTheyWereCutOff: what was begun and cut off is shown as unfinished,
// asked for twice at once it is carried out, and then nothing is unfinished; who was never
// heard of is not erased; copies that are not named keep the erasure unfinished.
func TestErasuresGoOnWhereTheyWereCutOff(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	account := s.register(t, someone, someEmail)
	if err := admin.BeginErasure(t.Context(), s.pool, account, []string{someEmail}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.PublishErased(t.Context(), account, time.Now()); err != nil {
		t.Fatal(err)
	}
	var v erasuresView
	s.getJSON(t, "/api/erasures", &v)
	if len(v.Unfinished) != 1 || v.Unfinished[0].Account != someone || v.Unfinished[0].Command != "projector erase --account "+someone {
		t.Fatalf("what is not finished: %+v", v.Unfinished)
	}
	if page := s.get(t, "/erasures", http.StatusOK); strings.Contains(page, someEmail) {
		t.Error("the page shows an address")
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			resp, err := http.PostForm(s.url+"/api/acts/erase", url.Values{"account": {someone}, "confirm": {someone}})
			if err != nil {
				t.Error(err)
			} else if resp.Body.Close(); resp.StatusCode >= 300 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	both.Wait()
	testrun.Eventually(t, "nothing is unfinished", func() bool {
		v = erasuresView{}
		s.getJSON(t, "/api/erasures?account="+someone, &v)
		return len(v.Unfinished) == 0 && len(v.Entries) == 1 && v.Entries[0].Receipt != ""
	})
	if at := s.traces(t, someEmail); at != "" {
		t.Errorf("the address is left: %s", at)
	}
	testrun.Eventually(t, "both acts have ended", func() bool { return s.outcomes(t, acts.AccountErase, acts.OutcomeBegun) == 0 })
	if n := s.outcomes(t, acts.AccountErase, acts.OutcomeDone); n == 0 || s.outcomes(t, acts.AccountErase, acts.OutcomeFailed) > 0 {
		t.Errorf("of two erasures at once %d are done, and others have failed", n)
	}

	nobody := strings.Replace(someone, "3", "5", 1)
	s.get(t, "/erasures?account="+nobody, http.StatusOK)
	done := s.act(t, "erase", map[string]string{"account": nobody, "confirm": nobody}, http.StatusOK)
	if done.Failed != "" || !strings.Contains(done.Summary, "never heard of: there is nothing to erase; 1 line of the audit no longer names it") {
		t.Errorf("of an account that was never heard of: %+v", done)
	}
	if id, err := events.ParseUUID(nobody); err != nil {
		t.Error(err)
	} else {
		s.audited(t, id, "done account.erase by tester")
	}
	s.act(t, "erase", map[string]string{"account": "ann", "confirm": "ann"}, http.StatusBadRequest)

	other := strings.Replace(someone, "3", "6", 1)
	s.register(t, other, "bob@example.org")
	if _, err := s.jetStream(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "CONTROL_PLANE"}}); err != nil {
		t.Fatal(err)
	}
	if done := s.act(t, "erase", map[string]string{"account": other, "confirm": other, "copies": "MIROR"}, http.StatusOK); !strings.Contains(done.Failed, "stream MIROR is no copy") ||
		!strings.Contains(done.Failed, "nothing was changed") {
		t.Errorf("with a copy that is not there: %+v", done)
	}
	if done := s.act(t, "erase", map[string]string{"account": other, "confirm": other}, http.StatusOK); !strings.Contains(done.Failed, "--purge-copies MIRROR") {
		t.Errorf("a copy was kept: %+v", done)
	}
	s.getJSON(t, "/api/erasures?account="+other, &v)
	if len(v.Unfinished) != 1 || v.Unfinished[0].Command != "projector erase --account "+other+" --purge-copies MIRROR" {
		t.Errorf("with a copy that keeps the account: %+v", v.Unfinished)
	}
	if done := s.act(t, "erase", map[string]string{"account": other, "confirm": other, "copies": "MIRROR"}, http.StatusOK); done.Failed != "" {
		t.Errorf("with the copy: %+v", done)
	}
	var held int
	if err := s.client.WithStream("MIRROR").ReadAll(t.Context(), func(m projections.Message) error {
		if bytes.Contains(m.Data, []byte("bob@example.org")) {
			held++
		}
		return nil
	}); err != nil || held > 0 {
		t.Errorf("the copy holds %d messages with the address: %v", held, err)
	}
}

// TestErasureOutlivesTheConsole: an erasure that the end of the program has cut off is
// shown as unfinished by the next one, which completes it.
func TestErasureOutlivesTheConsole(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	s.register(t, someone, someEmail)
	ctx, end := context.WithCancel(t.Context())
	first, err := New(s.c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Run(ctx) }()
	server := httptest.NewServer(first)
	defer server.Close()
	testrun.Eventually(t, "the first console is connected", func() bool { return first.target.Load() != nil })

	// As long as this transaction lasts, the event is not projected, and the erasure waits.
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE export.checkpoints IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	resp, err := http.PostForm(server.URL+"/api/acts/erase", url.Values{"account": {someone}, "confirm": {someone}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var j jobView
	if err := json.NewDecoder(resp.Body).Decode(&j); err != nil || resp.StatusCode != http.StatusAccepted {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	testrun.Eventually(t, "the erasure waits", func() bool {
		return strings.HasPrefix(first.jobs.find(j.ID).view().Steps[len(first.jobs.find(j.ID).view().Steps)-1], "Wait until position")
	})
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if v := first.jobs.find(j.ID).view(); v.Ended == nil || v.Failed == "" {
		t.Errorf("the act when the console has ended: %+v", v)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.outcomes(t, acts.AccountErase, acts.OutcomeFailed); n != 1 {
		t.Errorf("%d lines of the audit say that an erasure has failed, want 1", n)
	}
	var v erasuresView
	s.getJSON(t, "/api/erasures", &v)
	if len(v.Unfinished) != 1 || v.Unfinished[0].Account != someone {
		t.Fatalf("what is not finished: %+v", v.Unfinished)
	}
	if done := s.act(t, "erase", map[string]string{"account": someone, "confirm": someone}, http.StatusOK); done.Failed != "" {
		t.Errorf("the erasure by the next console: %+v", done)
	}
	if at := s.traces(t, someEmail); at != "" {
		t.Errorf("the address is left: %s", at)
	}
	s.getJSON(t, "/api/erasures", &v)
	if len(v.Unfinished) != 0 {
		t.Errorf("not finished yet: %+v", v.Unfinished)
	}
}

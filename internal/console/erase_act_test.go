package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
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

const (
	someone   = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
	someEmail = "ann.somebody@example.org"
)

// TestErasureFromPlanToReceipt: what an erasure would remove is shown, the account's id
// has to be typed, and then stream, tables and the console hold nothing of it but the
// event, the ledger's entry and the act. The receipt is the one that the ledger has the
// digest of, and one that was changed is told.
func TestErasureFromPlanToReceipt(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	account := s.register(t, someone, someEmail)
	forgotten := 0
	s.c.onForget(func(id events.UUID) {
		if id == account {
			forgotten++
		}
	})
	if s.traces(t, someEmail) == "" || s.traces(t, someone) == "" {
		t.Fatal("nothing of the account is anywhere even before: the test tests nothing")
	}
	plan := s.act(t, "erase-plan", map[string]string{"account": strings.ToUpper(someone)}, http.StatusOK)
	page := s.get(t, "/jobs/"+plan.ID, http.StatusOK)
	for _, want := range []string{"remove 3 messages of the account and 1 message on mistyped subjects", "publish that the account is erased", "1 line names it"} {
		if plan.Failed != "" || !strings.Contains(page, want) {
			t.Fatalf("the plan does not say %q: %+v\n%s", want, plan, page)
		}
	}
	for name, confirm := range map[string]string{"a word": "yes", "nothing": "", "another account": strings.Replace(someone, "3", "4", 1)} {
		s.act(t, "erase", map[string]string{"account": someone, "confirm": confirm}, http.StatusBadRequest)
		if s.traces(t, someEmail) == "" {
			t.Fatalf("erased, confirmed by %s", name)
		}
	}
	done := s.act(t, "erase", map[string]string{"account": someone, "confirm": someone}, http.StatusOK)
	if done.Failed != "" || !strings.Contains(done.Summary, "is erased, and that is proven") || !slices.ContainsFunc(done.Steps, func(step string) bool {
		return strings.HasPrefix(step, "Wait until position")
	}) {
		t.Fatalf("the erasure: %+v", done)
	}
	if at := s.traces(t, someEmail); at != "" {
		t.Errorf("the address is left: %s", at)
	}
	for _, at := range strings.Fields(s.traces(t, someone)) {
		// The event, the entry, the tombstone, and the line of the erasure.
		if at != "message" && at != "export.erasures" && at != "export.audit" && !strings.HasSuffix(at, ".account_export") {
			t.Errorf("the account is left in %s", at)
		}
	}
	if forgotten != 1 {
		t.Errorf("the console's memory was told %d times to forget the account, want once", forgotten)
	}
	s.get(t, "/jobs/"+plan.ID, http.StatusNotFound)
	receipt := s.get(t, "/jobs/"+done.ID+"/receipt.json", http.StatusOK)
	e, err := admin.FindErasure(t.Context(), s.pool, account)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := acts.ReceiptDigest([]byte(receipt)); err != nil || e.Receipt != digest {
		t.Errorf("the ledger has %q, the receipt is %q: %v", e.Receipt, digest, err)
	}
	if page := s.get(t, "/erasures?account="+someone, http.StatusOK); !strings.Contains(page, e.Receipt) {
		t.Errorf("the ledger does not show the digest:\n%s", page)
	}
	t.Run("receipts", func(t *testing.T) { s.receipts(t, receipt) })
	s.audited(t, account, "done account.erase by tester")
}

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

// TestErasingNeedsRights: without rights nobody erases, and what it would do can be seen.
func TestErasingNeedsRights(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.register(t, someone, someEmail)
	s.act(t, "erase", map[string]string{"account": someone, "confirm": someone}, http.StatusForbidden)
	page := s.get(t, "/accounts/"+someone+"/erase", http.StatusOK)
	if strings.Contains(page, `action="/acts/erase"`) || !strings.Contains(page, "--allow-acts") {
		t.Errorf("a page without rights:\n%s", page)
	}
	if plan := s.act(t, "erase-plan", map[string]string{"account": someone}, http.StatusOK); plan.Failed != "" {
		t.Errorf("the plan: %+v", plan)
	}
	// The same by the page's form, without a script.
	form, err := http.PostForm(s.url+"/acts/erase-plan", url.Values{"account": {someone}})
	if err != nil {
		t.Fatal(err)
	}
	defer form.Body.Close()
	if at := form.Request.URL.Path; form.StatusCode != http.StatusOK || !strings.HasPrefix(at, "/jobs/") {
		t.Errorf("the form leads to %s, status %d", at, form.StatusCode)
	}
	if n := s.outcomes(t, acts.AccountErase, ""); n != 0 {
		t.Errorf("%d erasures are on record", n)
	}
}

package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
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

package console

import (
	"net/http"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

const someone = "3c90c3cc-0d44-4b50-8888-8dd25736052a"

// TestErasureFromPlanToReceipt: what an erasure would remove is shown, it needs the
// account's id to be typed, and it ends in the receipt that the ledger has the digest of.
func TestErasureFromPlanToReceipt(t *testing.T) {
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	account, err := events.ParseUUID(someone)
	if err != nil {
		t.Fatal(err)
	}
	m, err := events.NewUserRegistered(meta("1"), account, events.UserRegistered{Email: "ann@example.org", Tier: "free", QuotaTierID: "free"})
	s.publish(t, m, err)

	plan := s.act(t, "erase-plan", map[string]string{"account": someone}, http.StatusOK)
	if plan.Failed != "" || !strings.Contains(s.get(t, "/jobs/"+plan.ID, http.StatusOK), "remove 1 message of the account") {
		t.Fatalf("the plan: %+v", plan)
	}
	s.act(t, "erase", map[string]string{"account": someone, "confirm": "yes"}, http.StatusBadRequest)
	done := s.act(t, "erase", map[string]string{"account": someone, "confirm": someone}, http.StatusOK)
	if done.Failed != "" {
		t.Fatalf("the erasure: %+v", done)
	}
	receipt := s.get(t, "/jobs/"+done.ID+"/receipt.json", http.StatusOK)
	digest, err := acts.ReceiptDigest([]byte(receipt))
	if err != nil {
		t.Fatal(err)
	}
	e, err := admin.FindErasure(t.Context(), s.pool, account)
	if err != nil || e.Receipt != digest {
		t.Errorf("the ledger has %q, the receipt is %q: %v", e.Receipt, digest, err)
	}
	for _, path := range []string{"/erasures", "/erasures?account=" + someone, "/audit", "/audit?account=" + someone} {
		if page := s.get(t, path, http.StatusOK); !strings.Contains(page, someone) {
			t.Errorf("%s does not show the account:\n%s", path, page)
		}
	}
}

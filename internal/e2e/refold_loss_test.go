package e2e

import (
	"fmt"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestRefoldKeepsWhatTheStreamHasLost: the stream loses its beginning, and that is accepted. No
// refold, by an operator or by a new minor version, then replaces a complete document by what is
// left of it, unless it is called with --accept-loss.
func TestRefoldKeepsWhatTheStreamHasLost(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	newer := s.with(buildNextMinor(t))
	s.settings["AUDIT_RATE"] = "0"
	old := s.startProjector(t)
	s.mustPublish(t, workload.New(71, workload.Config{Accounts: 40, HostileShare: 0.1}), 2500)
	s.waitProjected(t)
	s.purge(t, 1500)
	old = s.refuseAndAcceptGap(t, old, "1–1499")
	before := s.documents(t)

	var account string
	var messages int
	if err := s.pool.QueryRow(t.Context(), `
SELECT account_id, messages FROM export_g1.account_export a JOIN export_g1.quota_tiers t ON t.id = a.quota_tier_id
WHERE user_json IS NOT NULL AND a.parked > 0 ORDER BY messages DESC LIMIT 1`).Scan(&account, &messages); err != nil {
		t.Fatal(err)
	}
	checkUnchanged := func(what string) {
		t.Helper()
		if s.documents(t) != before {
			t.Errorf("%s: documents have changed", what)
		}
	}
	checkContains(t, s.checkRun(t, 1, fmt.Sprintf("account %s is left as it is", account), "refold", "--account", account),
		fmt.Sprintf("the row counts %d messages, and the stream holds ", messages))
	checkUnchanged("refold")
	s.checkRun(t, 1, "accounts or tiers could not be refolded and are left as they are", "parked", "retry", "--all")
	checkUnchanged("parked retry")

	next := newer.startProjector(t)
	if status := old.wait(); status != 10 {
		t.Errorf("the old one ended with %d: %s", status, old.out.tail(400))
	}
	eventually(t, "the new one to refold", 30*time.Second, hasPrinted(next, "refolded what an older version had parked"))
	if err := hasPrinted(next, account)(t.Context()); err != nil {
		t.Errorf("the account that cannot be refolded is not named: %v", err)
	}
	checkUnchanged("a new minor version")

	newer.checkRun(t, 0, " 1 have changed", "refold", "--account", account, "--accept-loss")
	if s.documents(t) == before {
		t.Error("refold --accept-loss: nothing has changed")
	}
	newer.checkRun(t, 0, "", "verify", "--account", account)
}

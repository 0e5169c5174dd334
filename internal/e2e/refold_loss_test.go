package e2e

import (
	"fmt"
	"strings"
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
	newer := buildNextMinor(t)
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
	kept := func(what string) {
		t.Helper()
		if s.documents(t) != before {
			t.Errorf("%s: documents have changed", what)
		}
	}
	out, status := command(t, "projector", s.settings, "refold", "--account", account)
	if status != 1 || !strings.Contains(out, fmt.Sprintf("account %s is left as it is", account)) ||
		!strings.Contains(out, fmt.Sprintf("the row counts %d messages, and the stream holds ", messages)) {
		t.Errorf("refold: exit %d: %s", status, out)
	}
	kept("refold")
	out, status = command(t, "projector", s.settings, "parked", "retry", "--all")
	if status != 1 || !strings.Contains(out, "accounts or tiers could not be refolded and are left as they are") {
		t.Errorf("parked retry: exit %d: %s", status, out)
	}
	kept("parked retry")

	next := launchFile(t, newer, s.settings, "run")
	if status := old.wait(); status != 10 {
		t.Errorf("the old one ended with %d: %s", status, old.out.tail(400))
	}
	eventually(t, "the new one to refold", 30*time.Second, hasPrinted(next, "refolded what an older version had parked"))
	if err := hasPrinted(next, account)(t.Context()); err != nil {
		t.Errorf("the account that cannot be refolded is not named: %v", err)
	}
	kept("a new minor version")

	if out, status := commandFile(t, newer, s.settings, "refold", "--account", account, "--accept-loss"); status != 0 || !strings.Contains(out, " 1 have changed") {
		t.Errorf("refold --accept-loss: exit %d: %s", status, out)
	}
	if s.documents(t) == before {
		t.Error("refold --accept-loss: nothing has changed")
	}
	if out, status := commandFile(t, newer, s.settings, "verify", "--account", account); status != 0 {
		t.Errorf("verify of what was refolded: exit %d: %s", status, out)
	}
}

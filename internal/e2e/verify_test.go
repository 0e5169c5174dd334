package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestVerifyLooksAtBothSides: `verify` checks the accounts of the stream as well as the rows, and
// the tiers. Whatever is lost, changed, surplus or outdated is named, with exit status 1, and
// repaired by the command that is named.
func TestVerifyLooksAtBothSides(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	eventually(t, "a generation", time.Minute, func(ctx context.Context) error { return s.reached(ctx, 0) })
	s.mustRun(t, 1, "nothing was compared", "verify", "--all")
	s.mustRun(t, 1, "nothing was compared", "verify")
	s.mustPublish(t, workload.New(31, workload.Config{Accounts: 40, HostileShare: 0.1, ErasureShare: 0.002}), 2500)
	s.waitProjected(t)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
	s.mustRun(t, 0, " 0 differ", "verify", "--sample", "10")
	s.mustRun(t, 1, "never heard of", "verify", "--account", "99999999-9999-4999-8999-999999999999")

	exec := func(sql string, args ...any) {
		t.Helper()
		if tag, err := s.pool.Exec(t.Context(), sql, args...); err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", sql, tag, err)
		}
	}
	complete := func() (account string) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `
SELECT account_id::text FROM export_g1.account_export WHERE sandbox_pages = 0 AND team_json IS NOT NULL AND erased_at IS NULL AND parked = 0
ORDER BY position DESC LIMIT 1`).Scan(&account); err != nil {
			t.Fatal(err)
		}
		return account
	}
	checkRefoldRepairs := func(account string) {
		t.Helper()
		s.mustRun(t, 0, " 1 have changed", "refold", "--account", account)
		s.mustRun(t, 0, " 0 differ", "verify", "--all")
	}

	// A row that was lost.
	account := complete()
	exec(`DELETE FROM export_g1.account_export WHERE account_id = $1`, account)
	for _, args := range [][]string{{"--all"}, {"--account", account}, {"--sample", "1000"}} {
		out := s.mustRun(t, 1, "lost: the stream holds", append([]string{"verify"}, args...)...)
		if !strings.Contains(out, "`projector refold --account "+account+"` mends that one") {
			t.Errorf("%v: %s", args, out)
		}
	}
	checkRefoldRepairs(account)

	// An earlier row, which is consistent and outdated.
	account = complete()
	exec(`CREATE TABLE aside AS SELECT * FROM export_g1.account_export WHERE account_id = $1`, account)
	s.publishMarked(t, account, 2)
	s.waitProjected(t)
	exec(`DELETE FROM export_g1.account_export WHERE account_id = $1`, account)
	exec(`INSERT INTO export_g1.account_export SELECT * FROM aside`)
	s.mustRun(t, 1, "position: stored", "verify", "--all")
	checkRefoldRepairs(account)

	// A lost tombstone, and one of an account that was not erased.
	var erased string
	if err := s.pool.QueryRow(t.Context(), `SELECT account_id::text FROM export_g1.account_export WHERE erased_at IS NOT NULL LIMIT 1`).Scan(&erased); err != nil {
		t.Fatal(err)
	}
	exec(`DELETE FROM export_g1.account_export WHERE account_id = $1`, erased)
	s.mustRun(t, 1, "account "+erased+" at 0: lost", "verify", "--all")
	checkRefoldRepairs(erased)
	account = complete()
	exec(`UPDATE export_g1.account_export SET erased_at = now() WHERE account_id = $1`, account)
	s.mustRun(t, 1, "state: stored erased, folded not erased", "verify", "--all")
	exec(`UPDATE export_g1.account_export SET erased_at = NULL WHERE account_id = $1`, account)

	// A row of an unknown account, and pages without a row.
	exec(`UPDATE aside SET account_id = '99999999-9999-4999-8999-999999999999'`)
	exec(`INSERT INTO export_g1.account_export SELECT * FROM aside`)
	s.mustRun(t, 1, "stored, and the stream holds no message of it", "verify", "--all")
	exec(`DELETE FROM export_g1.account_export WHERE account_id = '99999999-9999-4999-8999-999999999999'`)
	exec(`INSERT INTO export_g1.account_export_items (account_id, section, item, page_key)
VALUES ('99999999-9999-4999-8999-999999999999', 3, 'x', 'y')`)
	s.mustRun(t, 1, "too much: without a row, it has some in [account_export_items]", "verify", "--all")
	exec(`DELETE FROM export_g1.account_export_items WHERE account_id = '99999999-9999-4999-8999-999999999999'`)

	// A lost, a changed and an unknown tier.
	var tier string
	if err := s.pool.QueryRow(t.Context(), `
SELECT t.id FROM export_g1.quota_tiers t JOIN export_g1.account_export a ON a.quota_tier_id = t.id WHERE a.erased_at IS NULL LIMIT 1`).Scan(&tier); err != nil {
		t.Fatal(err)
	}
	exec(`UPDATE export_g1.quota_tiers SET body = set_byte(body, 60, get_byte(body, 60) # 1) WHERE id = $1`, tier)
	s.mustRun(t, 1, "tier "+tier, "verify", "--all")
	exec(`INSERT INTO export_g1.quota_tiers SELECT 'nobodys', partition, position, body FROM export_g1.quota_tiers LIMIT 1`)
	s.mustRun(t, 1, "tier nobodys", "verify", "--all")
	exec(`DELETE FROM export_g1.quota_tiers WHERE id = $1`, tier)
	out := s.mustRun(t, 1, "tier "+tier+" at 0: lost", "verify", "--all")
	if !strings.Contains(out, "`projector rebuild --accept-differences`") {
		t.Errorf("verify: %s", out)
	}
	s.mustRun(t, 0, "is live", "rebuild", "--accept-differences")
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
	s.checkAgainstOracle(t)
}

// TestSampleDrawsFromTheStream: a sample finds lost rows although most are there, and draws also
// among accounts whose ids begin alike.
func TestSampleDrawsFromTheStream(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.mustPublish(t, workload.New(32, workload.Config{Accounts: 60}), 3000)
	s.waitProjected(t)
	if out := s.mustRun(t, 0, "20 accounts and", "verify", "--sample", "20"); !strings.Contains(out, " 0 differ") {
		t.Errorf("verify: %s", out)
	}
	if _, err := s.pool.Exec(t.Context(), `
DELETE FROM export_g1.account_export WHERE account_id IN (SELECT account_id FROM export_g1.account_export LIMIT (SELECT count(*) * 2 / 3 FROM export_g1.account_export))`); err != nil {
		t.Fatal(err)
	}
	s.mustRun(t, 1, "lost: the stream holds", "verify", "--sample", "15")
}

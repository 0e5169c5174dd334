package e2e

import (
	"strings"
	"testing"

	"accountexport/internal/workload"
	"accountexport/readmodel/export"
)

// servedBytes is the length of someone's document, or -1 when there is none.
func (s *system) servedBytes(t *testing.T) int64 {
	t.Helper()
	d, err := export.NewReader(s.pool).Open(t.Context(), uuid(t, someone))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return d.Size()
}

// TestVerifySeesWhatIsServed damages what the digest of a row does not cover: the tier that it
// names, the numbers of its pages, the directory of its items, and parked messages. `verify --all`
// reports each, and a refold repairs the account.
func TestVerifySeesWhatIsServed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "0"
	s.startProjector(t)
	s.publishComplete(t, uuid(t, someone))
	s.publishMarked(t, someone, 300)
	s.publishStray(t, someone)
	s.mustPublish(t, workload.New(31, workload.Config{Accounts: 10, HostileShare: 0.1}), 500)
	s.waitProjected(t)
	s.mustRun(t, 0, " 0 differ", "verify", "--all")
	for _, c := range []struct{ what, sql, back string }{
		{"the tier that it names", `UPDATE export_g1.account_export SET quota_tier_id = 'nobodys' WHERE account_id = '` + someone + `'`, ""},
		{"the number of its pages", `UPDATE export_g1.account_export SET sandbox_pages = 0 WHERE account_id = '` + someone + `' AND sandbox_pages > 0`, ""},
		{"its directory of items", `DELETE FROM export_g1.account_export_items WHERE account_id = '` + someone + `'`, ""},
		{"what is parked of nobody", `DELETE FROM export_g1.parked WHERE account_id IS NULL`, `rebuild`},
	} {
		before := s.servedBytes(t)
		tag, err := s.pool.Exec(t.Context(), c.sql)
		if err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", c.what, tag, err)
		}
		after := s.servedBytes(t)
		out, status := command(t, "projector", s.settings, "verify", "--all")
		if status != 1 {
			t.Errorf("%s: verify --all exits with %d: %s (served: %d bytes before, %d after)", c.what, status, strings.TrimSpace(out), before, after)
		}
		if c.back != "" {
			continue
		}
		out, status = command(t, "projector", s.settings, "verify", "--account", someone)
		if status != 1 {
			t.Errorf("%s: verify --account exits with %d: %s", c.what, status, strings.TrimSpace(out))
		}
		out, status = command(t, "projector", s.settings, "refold", "--account", someone)
		if status != 0 || !strings.Contains(out, " 1 have changed") || s.servedBytes(t) != before {
			t.Errorf("%s: refold exits with %d: %s (served: %d bytes, and %d before the damage)", c.what, status, strings.TrimSpace(out), s.servedBytes(t), before)
		}
		// This makes the row right for the next case.
		if _, err := s.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET parked = parked + 1 WHERE account_id = $1`, someone); err != nil {
			t.Fatal(err)
		}
		s.mustRun(t, 0, " 1 have changed", "refold", "--account", someone)
	}
}

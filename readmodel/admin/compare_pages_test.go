package admin_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// TestComparisonLooksWhereDigestsDiffer: a test plants differences in one of two
// generations of the same stream. Where both rows record the same digest, their pages
// are not read; where one records another one, or none, everything beside the row is
// compared, and what differs is named.
func TestComparisonLooksWhereDigestsDiffer(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	log := readmodeltest.NewBusyLog(8, 1500, workload.Config{Accounts: 6, HostileShare: 0.1})
	log.Project(t, live, engine.Options{})
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	log.Project(t, builder, engine.Options{})
	all := int64(len(log.CountConsumed(t)))
	check := func(when string, want map[string]int64) {
		t.Helper()
		got, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil)
		different := int64(0)
		for _, n := range want {
			different = max(different, n)
		}
		if err != nil || got.Compared != all || got.Different != different || got.Missing+got.New+got.Pending+got.Tiers != 0 {
			t.Errorf("%s: %+v, %v; want %d compared, %d different", when, got, err, all, different)
		}
		if diff := cmp.Diff(want, got.Sections); diff != "" {
			t.Errorf("%s: sections (-want +got):\n%s", when, diff)
		}
		for _, d := range got.Sample {
			if _, named := want[d.What]; !named {
				t.Errorf("%s: account %s: %s", when, d.Account, d.What)
			}
		}
	}
	exec := func(sql string) {
		t.Helper()
		tag, err := pool.Exec(t.Context(), sql)
		if err != nil || tag.RowsAffected() == 0 {
			t.Fatalf("%s: %v, %v", sql, tag, err)
		}
	}
	one := func(table, where string) string {
		return fmt.Sprintf(`(account_id = (SELECT account_id FROM export_g2.%s WHERE %s ORDER BY account_id LIMIT 1) AND %s)`, table, where, where)
	}
	check("nothing planted", map[string]int64{})
	for _, table := range []string{"export_g1", "export_g2"} {
		exec(`UPDATE ` + table + `.account_export SET digest_low = digest_low # 1`)
		check("a digest that is wrong, of what is the same", map[string]int64{})
	}
	for _, plant := range []struct{ section, table, where, set, undo string }{
		{"quota_usage", "account_export_pages", "section = 1", "body = body || ' '", "body = substr(body, 1, length(body) - 1)"},
		{"api_keys", "account_export_pages", "section = 2", "body = body || ' '", "body = substr(body, 1, length(body) - 1)"},
		{"sandboxes", "account_export_pages", "section = 3", "body = body || ' '", "body = substr(body, 1, length(body) - 1)"},
		{"waiting", "account_waiting", "entity = 4", "patch = patch || ' '", "patch = substr(patch, 1, length(patch) - 1)"},
		{"parked", "parked", "account_id IS NOT NULL", "payload = payload || ' '", "payload = substr(payload, 1, length(payload) - 1)"},
	} {
		var there bool
		if err := pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT EXISTS (SELECT FROM export_g2.%s WHERE %s)`, plant.table, plant.where)).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if !there && plant.section != "api_keys" && plant.section != "quota_usage" {
			t.Errorf("nothing of %s to plant a difference in", plant.section)
		}
		if !there {
			continue
		}
		where := one(plant.table, plant.where)
		account := `account_id IN (SELECT account_id FROM export_g2.` + plant.table + ` WHERE ` + where + `)`
		exec(`UPDATE export_g2.` + plant.table + ` SET ` + plant.set + ` WHERE ` + where)
		check(plant.section+", with one digest", map[string]int64{})
		exec(`UPDATE export_g2.account_export SET digest_high = digest_high # 1 WHERE ` + account)
		check(plant.section+", with another digest", map[string]int64{plant.section: 1})
		exec(`UPDATE export_g2.account_export SET digest_high = digest_high # 1, counted_at = NULL WHERE ` + account)
		check(plant.section+", without a digest", map[string]int64{plant.section: 1})
		exec(`UPDATE export_g2.account_export SET counted_at = position - 1 WHERE ` + account)
		check(plant.section+", with one of another position", map[string]int64{plant.section: 1})
		exec(`UPDATE export_g2.account_export SET counted_at = position WHERE ` + account)
		exec(`UPDATE export_g2.` + plant.table + ` SET ` + plant.undo + ` WHERE ` + where)
	}
	exec(`UPDATE export_g2.account_export SET user_json = set_byte(user_json, 9, 33) WHERE ` + one("account_export", "user_json IS NOT NULL"))
	check("a byte in a row, whatever its digest", map[string]int64{"user": 1})
	exec(`UPDATE export_g2.account_export b SET user_json = a.user_json FROM export_g1.account_export a WHERE a.account_id = b.account_id`)
	exec(`UPDATE export_g2.account_export SET messages = messages - 1 WHERE ` + one("account_export", "messages > 1"))
	check("a message that was not seen", map[string]int64{"messages": 1})
	exec(`UPDATE export_g2.account_export SET counted_at = NULL`)
	check("no count in one", map[string]int64{})
}

// TestHugeAccountIsCompared: an account of 700 MB is summed up and compared a page at
// a time where its rows record no digest.
func TestHugeAccountIsCompared(t *testing.T) {
	pool, live := readmodeltest.Open(t)
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	digests := map[projections.Digest]int{}
	for i, store := range []*store.Store{live, builder} {
		a := readmodeltest.NewAccount(t, store, readmodeltest.Acquire(t, store), readmodeltest.AccountID)
		a.Register()
		if err := a.Commit(readmodeltest.FreeTier); err != nil {
			t.Fatal(err)
		}
		readmodeltest.AdvanceCheckpoints(t, pool, i+1)
		if _, err := pool.Exec(t.Context(), fmt.Sprintf(`
INSERT INTO export_g%d.account_export_pages (account_id, section, page_key, body)
SELECT $1, 3, to_char(n, 'FM00000000'), convert_to('{"id":"' || repeat('x', 1048576) || '"}', 'UTF8') FROM generate_series(0, 699) n`, i+1), readmodeltest.AccountID); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(t.Context(), fmt.Sprintf(`UPDATE export_g%d.account_export SET sandbox_pages = 700, counted_at = NULL`, i+1)); err != nil {
			t.Fatal(err)
		}
		sums, err := admin.SumUp(t.Context(), pool, int64(i+1), []events.UUID{a.ID})
		if err != nil {
			t.Fatal(err)
		}
		digests[sums[a.ID]]++
	}
	if len(digests) != 1 {
		t.Errorf("digests of the same: %v", maps.Keys(digests))
	}
	if c, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil); err != nil || !c.Equal() || c.Compared != 1 {
		t.Errorf("the same: %+v, %v", c, err)
	}
	if _, err := pool.Exec(t.Context(), `
UPDATE export_g2.account_export_pages SET body = set_byte(body, 9, 33) WHERE page_key = '00000699'`); err != nil {
		t.Fatal(err)
	}
	if c, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil); err != nil || c.Different != 1 || c.Sections["sandboxes"] != 1 {
		t.Errorf("a byte differs: %+v, %v", c, err)
	}
}

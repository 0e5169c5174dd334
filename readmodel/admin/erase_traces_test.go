package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestTracesHaveEveryAddress: an erasure learns the user's e-mail address, and the one
// that waits for the user to be registered, from what package projections has stored.
func TestTracesHaveEveryAddress(t *testing.T) {
	t.Parallel()
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	registered := readmodeltest.NewAccount(t, s, own, readmodeltest.AccountID)
	registered.Register()
	if err := registered.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	waiting := readmodeltest.NewAccount(t, s, registered.Ownership, "4c90c3cc-0d44-4b50-8888-8dd25736052a")
	waiting.Position = registered.Position
	waiting.Apply(events.NewUserEmailChanged(waiting.Meta(), waiting.ID, events.UserEmailChanged{Email: "waits@example.org"}))
	if err := waiting.Commit(); err != nil {
		t.Fatal(err)
	}
	for account, want := range map[*readmodeltest.Account]string{registered: "a@example.org", waiting: "waits@example.org"} {
		traces, err := admin.FindTraces(t.Context(), pool, account.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, traces.Emails); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	readmodeltest.Exec(t, pool, `UPDATE export_g1.account_waiting SET patch = '{'`)
	traces, err := admin.FindTraces(t.Context(), pool, waiting.ID, nil)
	if err != nil || len(traces.Emails) > 0 || traces.Rows == 0 {
		t.Errorf("a patch that cannot be parsed: %+v, %v", traces, err)
	}
}

// TestCompressedCopiesAreTraces: compressed copies of an account's pages are found, and
// removed by an erasure, also where no page is left that they are of.
func TestCompressedCopiesAreTraces(t *testing.T) {
	t.Parallel()
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.LargeAccount(t, pool, s, 8)
	clear := func() {
		t.Helper()
		if _, err := admin.ClearAccount(t.Context(), pool, admin.AccountErasure{Account: a.ID, Position: 1, Stream: readmodeltest.Stream,
			Mentions: func(...[]byte) bool { return false }}); err != nil {
			t.Fatal(err)
		}
	}
	clear()
	for _, copies := range []int64{1, 0} {
		if copies > 0 {
			readmodeltest.Exec(t, pool, `
INSERT INTO export_g1.account_export_segments (account_id, section, first_key, last_key, written_by, length, crc, deflated)
SELECT account_id, 3, '0000004', '0000008', '{}', 0, 0, '' FROM export_g1.account_export`)
		} else {
			clear()
		}
		traces, err := admin.FindTraces(t.Context(), pool, a.ID, nil)
		if err != nil || traces.Rows != copies || !traces.Erased {
			t.Errorf("%d copies: %+v, %v", copies, traces, err)
		}
		found, err := admin.AccountsWithTraces(t.Context(), pool, []events.UUID{a.ID})
		if err != nil || found[a.ID] != (copies > 0) {
			t.Errorf("%d copies: %v, %v", copies, found, err)
		}
	}
}

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/projections"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// nothingLeft is the line of a receipt that says that an erasure is complete.
const nothingLeft = "left               0 messages, 0 rows"

// erase erases an account and ends the test unless the command exits with this status and prints
// this text.
func (s *system) erase(t *testing.T, account string, want int, says string, more ...string) (out string) {
	t.Helper()
	out, status := command(t, "projector", s.settings, append([]string{"erase", "--account", account}, more...)...)
	if status != want || !strings.Contains(out, says) {
		t.Fatalf("erase %s %v: exit %d, want %d and %q: %s", account, more, status, want, says, out)
	}
	return out
}

// eraseEventually erases an account once a projector runs and the servers answer.
func (s *system) eraseEventually(t *testing.T, account string) {
	t.Helper()
	eventually(t, "the account to be erased", time.Minute, func(context.Context) error {
		if out, status := command(t, "projector", s.settings, "erase", "--account", account); status != 0 {
			return fmt.Errorf("exit %d: %s", status, out)
		}
		return nil
	})
}

// publishErased publishes that an account is erased, as an erasure or the control
// plane does, and nothing else of an erasure.
func (s *system) publishErased(t *testing.T, account string) {
	t.Helper()
	if _, err := s.client.PublishErased(t.Context(), uuid(t, account), time.Now()); err != nil {
		t.Fatal(err)
	}
}

// checkErased requires that the live generation has a tombstone of the account at the position of
// the first erased event, that the stream holds nothing else of the account, that the ledger has an
// entry, and that no missing message is unexplained.
func (s *system) checkErased(t *testing.T, account string) {
	t.Helper()
	first, err := s.client.FirstErased(t.Context(), uuid(t, account))
	if err != nil {
		t.Fatal(err)
	}
	m, err := export.NewReader(s.pool).Meta(t.Context(), uuid(t, account))
	if err != nil {
		t.Fatal(err)
	}
	if m.State != export.Erased || m.Position != first.Position || first.Position == 0 {
		t.Errorf("account %s is %s at %d, and the stream holds its erasure at %d", account, stateName(m.State), m.Position, first.Position)
	}
	var positions []uint64
	if err := s.client.ReadAccount(t.Context(), uuid(t, account), 0, func(m projections.Message) error {
		positions = append(positions, m.Position)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(positions, []uint64{first.Position}) {
		t.Errorf("the stream holds messages %v of account %s, want %d alone", positions, account, first.Position)
	}
	e, err := admin.FindErasure(t.Context(), s.pool, uuid(t, account))
	if err != nil || e.Position != first.Position {
		t.Errorf("the ledger has %+v, %v", e, err)
	}
	s.checkNoGap(t)
}

// checkNoTraces requires that the marker is nowhere in the stream or in the database, and that no
// line of the audit but those of erasures names an account that is on the ledger.
func (s *system) checkNoTraces(t *testing.T) {
	t.Helper()
	if where := s.findTraces(t); where != "" {
		t.Errorf("the marker is left: %s", where)
	}
}

// findTraces lists where the marker, in upper or lower case, is in the stream or in a dump of the
// database, and whether the audit names somebody who is erased.
func (s *system) findTraces(t *testing.T) string {
	t.Helper()
	var where []string
	err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		if bytes.Contains(bytes.ToLower(m.Data), []byte(marker)) || strings.Contains(strings.ToLower(m.Subject), marker) {
			where = append(where, fmt.Sprint("message ", m.Position))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := s.pgTool(t, "pg_dump", "--inserts", s.database)
	// pg_dump writes bytea as hexadecimal digits.
	for _, text := range []string{marker, strings.ToUpper(marker)} {
		if bytes.Contains(out, []byte(text)) || bytes.Contains(out, fmt.Appendf(nil, "%x", text)) {
			where = append(where, "the dump")
		}
	}
	var lines int
	if err := s.pool.QueryRow(t.Context(), `
SELECT count(*) FROM export.audit a JOIN export.erasures e ON e.account_id = a.account WHERE a.what <> 'account.erase'`).Scan(&lines); err != nil {
		t.Fatal(err)
	}
	if lines > 0 {
		where = append(where, fmt.Sprint(lines, " lines of the audit"))
	}
	return strings.Join(where, ", ")
}

// checkNoGap requires that exactly the missing messages are explained, and that `status` does not
// refuse with 18.
func (s *system) checkNoGap(t *testing.T) {
	t.Helper()
	if explained, missing := s.checkExplained(t); explained != missing {
		t.Errorf("%d messages are missing, and %d are explained", missing, explained)
	}
	if out, status := command(t, "projector", s.settings, "status"); status == 18 {
		t.Errorf("status: %s", out)
	}
}

// checkExplained requires that every missing message is explained, and returns both numbers.
func (s *system) checkExplained(t *testing.T) (explained, missing uint64) {
	t.Helper()
	info, err := s.client.Info(t.Context()) // read first: what is gone by now was recorded before
	if err != nil {
		t.Fatal(err)
	}
	m, err := admin.FindMissing(t.Context(), s.pool, info)
	if err != nil {
		t.Fatal(err)
	}
	if m.Explained < info.Missing() {
		t.Errorf("%d messages are missing, and %d are explained", info.Missing(), m.Explained)
	}
	return m.Explained, info.Missing()
}

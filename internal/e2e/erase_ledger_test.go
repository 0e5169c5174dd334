package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel"
)

// TestLedgerKnowsEveryErasure: an account is on the ledger once its account.erased is folded,
// whoever published it. `provision` enters accounts that were erased before there was a ledger. The
// API's role cannot read it, and an export older than a day is reported.
func TestLedgerKnowsEveryErasure(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["ADMIN_ADDR"] = freeAddr(t)
	s.startProjector(t)
	account := uuid(t, someone)
	s.publishComplete(t, account)
	at := time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC)
	m, err := events.NewAccountErased(events.Meta{ID: "by-hand", Source: "/test", Time: events.TimeOf(at)}, account)
	if err != nil {
		t.Fatal(err)
	}
	position, _, err := s.client.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	s.waitProjected(t)
	ledgerLines := func() (lines []string) {
		t.Helper()
		out, status := command(t, "projector", s.settings, "erasures", "list", "--json")
		if status != 0 {
			t.Fatalf("erasures list: exit %d: %s", status, out)
		}
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	entry := func() (e struct {
		Account  string    `json:"account"`
		ErasedAt time.Time `json:"erased_at"`
		Position uint64    `json:"position"`
	}) {
		t.Helper()
		lines := ledgerLines()
		if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || len(lines) != 1 {
			t.Fatalf("%v: %v", lines, err)
		}
		return e
	}
	if e := entry(); e.Account != someone || e.Position != position || !e.ErasedAt.Equal(at) {
		t.Errorf("the ledger has %+v, want position %d", e, position)
	}
	if _, err := s.pool.Exec(t.Context(), `DELETE FROM export.erasures`); err != nil {
		t.Fatal(err)
	}
	s.checkRun(t, 0, "1 accounts that were erased before", "provision")
	if e := entry(); e.Account != someone || e.Position != position || !e.ErasedAt.Equal(at) {
		t.Errorf("provision has entered %+v, want position %d", e, position)
	}
	if out, status := command(t, "projector", s.settings, "provision"); status != 0 || strings.Contains(out, "erased before") {
		t.Errorf("provision again: exit %d: %s", status, out)
	}

	for _, table := range []string{"erasures", "erasures_exported"} {
		var may bool
		err := s.pool.QueryRow(t.Context(), `SELECT has_table_privilege($1, 'export.'||$2, 'SELECT, INSERT, UPDATE, DELETE')`,
			readmodel.ReaderRole, table).Scan(&may)
		if err != nil || may {
			t.Errorf("the reader may do something with %s: %v, %v", table, may, err)
		}
	}
	s.checkExportAge(t)
}

// checkExportAge: status and metric report an export of the ledger that is older than a day or was
// never made, and no other.
func (s *system) checkExportAge(t *testing.T) {
	t.Helper()
	waitReported := func(want bool) {
		t.Helper()
		eventually(t, fmt.Sprint("status to tell of an old export: ", want), time.Minute, func(context.Context) error {
			out, status := command(t, "projector", s.settings, "status")
			if status != 0 || strings.Contains(out, "projector erasures export") != want {
				return fmt.Errorf("exit %d: %s", status, out)
			}
			return nil
		})
	}
	set := func(statement string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	waitReported(false)
	set(`UPDATE export.erasures SET entered_at = now() - interval '25 hours'`)
	waitReported(true)
	out, status := command(t, "projector", s.settings, "erasures", "export")
	if status != 0 || !strings.Contains(out, someone) {
		t.Fatalf("export: exit %d: %s", status, out)
	}
	waitReported(false)
	file := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	set(`UPDATE export.erasures_exported SET exported_at = now() - interval '25 hours'`)
	waitReported(true)
	// A replica checks this when it starts.
	watch := freeAddr(t)
	settings := maps.Clone(s.settings)
	settings["ADMIN_ADDR"] = watch
	launch(t, "projector", settings, "run")
	eventually(t, "the metric to tell", time.Minute, func(ctx context.Context) error {
		_, _, body, err := get(ctx, "http://"+watch+"/metrics", "")
		if err != nil {
			return err
		}
		var age float64
		for line := range strings.Lines(string(body)) {
			if value, ok := strings.CutPrefix(line, "projector_erasures_export_age_seconds "); ok {
				if age, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
					return err
				}
			}
		}
		if age < 24*3600 || !strings.Contains(string(body), "\nprojector_erasures 1\n") {
			return fmt.Errorf("age %f", age)
		}
		return nil
	})
	s.checkRun(t, 0, "0 of them were not", "erasures", "import", file)
}

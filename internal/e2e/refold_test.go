package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// TestRefoldRacesSafely refolds accounts repeatedly while their events are projected. Everything
// equals an independent fold in the end, a retry by the same version changes nothing, and a changed
// byte is repaired.
func TestRefoldRacesSafely(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "20000"
	s.settings["AUDIT_BYTES"] = "1GiB"
	projector := s.startProjector(t)
	g := workload.New(11, workload.Config{Accounts: 6, HostileShare: 0.2, ErasureShare: 0.001})
	s.mustPublish(t, g, 2000)
	s.waitProjected(t)
	stopPublishing := s.publishUntilStopped(t, g, 200, 300*time.Millisecond)
	for range 4 {
		// Without this, rows whose count and digest are right would be left alone.
		if _, err := s.pool.Exec(t.Context(), `
UPDATE export_g1.account_export SET counted_at = NULL
WHERE account_id IN (SELECT account_id FROM export_g1.account_export ORDER BY account_id FOR UPDATE)`); err != nil {
			t.Fatal(err)
		}
		s.mustRun(t, 0, " 0 have changed", "parked", "retry", "--all")
	}
	stopPublishing()
	s.waitProjected(t)
	// A retry refolds what has parked messages. The audit comes to the others, erased ones too.
	eventually(t, "the audit to complete the rows that were made silent", time.Minute, func(ctx context.Context) error {
		var silent int
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM export_g1.account_export WHERE counted_at IS DISTINCT FROM position`).Scan(&silent)
		if err == nil && silent > 0 {
			err = fmt.Errorf("%d rows do not say what went into them", silent)
		}
		return err
	})
	s.checkAgainstOracle(t)
	if out := projector.out.tail(1 << 20); strings.Contains(out, "differs from a fold") {
		t.Errorf("the audit found a difference where there is none: %s", out)
	}

	var account string
	err := s.pool.QueryRow(t.Context(), `
UPDATE export_g1.account_export SET parked = parked + 1, user_json = set_byte(user_json, 60, get_byte(user_json, 60) # 1)
WHERE account_id = (SELECT account_id FROM export_g1.account_export WHERE user_json IS NOT NULL LIMIT 1) RETURNING account_id`).Scan(&account)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the audit to find it", time.Minute, func(context.Context) error {
		if out := projector.out.tail(1 << 20); !strings.Contains(out, "differs from a fold") || !strings.Contains(out, account) {
			return errors.New("it says nothing")
		}
		return nil
	})
	s.checkRun(t, 0, " 1 have changed", "refold", "--account", account)
	s.checkAgainstOracle(t)
	s.checkRun(t, 1, "never heard of", "refold", "--account", strings.Repeat("0", 8)+"-0000-0000-0000-000000000000")
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/readmodel"
)

// TestRebuildWithoutAGap rebuilds while events are published and documents are
// read at full rate, and kills the rebuild hard five times. No read fails or
// goes back in position, and in the end the new generation is live and equal to
// an independent fold; rolling back gives the same.
func TestRebuildWithoutAGap(t *testing.T) {
	const before, during = 15_000, 10_000
	s := newSystem(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := workload.New(seed, workload.Config{Accounts: 200, HostileShare: 0.05, ErasureShare: 0.0005})
	if err := s.publish(t.Context(), g, before, 0); err != nil {
		t.Fatal(err)
	}
	live := launch(t, "projector", s.settings, "run")
	eventually(t, "everything projected", time.Minute, s.caughtUp)

	published := make(chan error, 1)
	go func() { published <- s.publish(t.Context(), g, during, 12*time.Second) }()
	endReading := s.readAll(t)

	settings := map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "BATCH_EVENTS": "500"}
	for k, v := range s.settings {
		if settings[k] == "" {
			settings[k] = v
		}
	}
	for i := range 5 {
		rebuild := launch(t, "projector", settings, "rebuild", "--cutover=manual", "--max-rate", "4000")
		moment := time.NewTimer(time.Duration(200+rand.IntN(700)) * time.Millisecond)
		<-moment.C
		rebuild.kill()
		if out := rebuild.out.tail(1000); strings.Contains(out, "is ready") {
			t.Logf("kill %d came after the rebuild was ready", i)
		}
	}
	out, status := command(t, "projector", settings, "rebuild")
	if status != 0 || !strings.Contains(out, "generation 2 is live") || !strings.Contains(out, " 0 of them differ") {
		t.Fatalf("rebuild: exit %d: %s", status, out)
	}
	eventually(t, "the live projector to move over", 10*time.Second, func(context.Context) error {
		if !strings.Contains(live.out.tail(4000), "generation=2") {
			return fmt.Errorf("it says %s", live.out.tail(300))
		}
		return nil
	})
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	t.Logf("%d reads", endReading())
	s.verify(t)

	s.checkVerify(t)

	out, status = command(t, "projector", settings, "rollback")
	if status != 0 || !strings.Contains(out, "generation 1 is live") {
		t.Fatalf("rollback: exit %d: %s", status, out)
	}
	eventually(t, "everything projected", time.Minute, s.caughtUp)
	s.verify(t)
	if out, status = command(t, "projector", settings, "generations", "drop", "1"); status == 0 {
		t.Errorf("dropped the live generation: %s", out)
	}
	if out, status = command(t, "projector", settings, "generations", "drop", "2"); status != 0 {
		t.Errorf("drop: exit %d: %s", status, out)
	}
	if out, status = command(t, "projector", settings, "generations", "list"); status != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("list: exit %d: %s", status, out)
	}
}

// checkVerify: every account equals its refold; with one byte changed in one
// document, that one is named, and a rebuild refuses to cut over.
func (s *system) checkVerify(t *testing.T) {
	t.Helper()
	if out, status := command(t, "projector", s.settings, "verify", "--all"); status != 0 || !strings.Contains(out, " 0 differ") {
		t.Errorf("verify: exit %d: %s", status, out)
	}
	var id [16]byte
	err := s.pool.QueryRow(t.Context(), `
UPDATE export_g2.account_export SET user_json = set_byte(user_json, 60, get_byte(user_json, 60) # 1)
WHERE account_id = (SELECT account_id FROM export_g2.account_export WHERE user_json IS NOT NULL AND team_json IS NOT NULL
    AND quota_tier_id IN (SELECT id FROM export_g2.quota_tiers) ORDER BY account_id LIMIT 1)
RETURNING account_id`).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	account := events.UUID(id).String()
	for _, args := range [][]string{{"--all"}, {"--account", account}, {"--sample", "100000"}} {
		out, status := command(t, "projector", s.settings, append([]string{"verify"}, args...)...)
		if status != 1 || !strings.Contains(out, "account "+account) || !strings.Contains(out, "user: differs at byte 60") || !strings.Contains(out, " 1 differ") {
			t.Errorf("verify %v with a planted difference: exit %d: %s", args, status, out)
		}
	}
	if out, status := command(t, "projector", s.settings, "rebuild"); status != 1 || !strings.Contains(out, account+": user") {
		t.Errorf("rebuild with a planted difference: exit %d: %s", status, out)
	}
}

// readAll reads every account's export, over and over, until the returned
// function is called: no read may fail, be a mixture, or go back in position.
func (s *system) readAll(t *testing.T) (end func() int) {
	t.Helper()
	var accounts []events.UUID
	rows, err := s.pool.Query(t.Context(), `SELECT account_id FROM export_g1.account_export`)
	if err != nil {
		t.Fatal(err)
	}
	var id [16]byte
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		accounts = append(accounts, id)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	exports := readmodel.NewExports(s.pool)
	count := make(chan int, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		last := map[events.UUID]uint64{}
		for ; ctx.Err() == nil; n++ {
			account := accounts[n%len(accounts)]
			d, err := exports.Open(ctx, account)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("read %d failed: %v", n, err)
				return
			}
			var body writer
			if d.State == readmodel.Complete {
				if _, err := d.WriteTo(&body); err != nil || !json.Valid(body) {
					t.Errorf("read %d: %v", n, err)
				}
			}
			d.Close()
			if d.Position < last[account] {
				t.Errorf("account %s went back from %d to %d", account, last[account], d.Position)
			}
			last[account] = d.Position
		}
	}()
	return func() int {
		stop()
		return <-count
	}
}

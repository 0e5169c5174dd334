package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"accountexport/internal/workload"
)

// epochs are the epochs of the live generation's partitions.
func (s *system) epochs(t *testing.T) map[int]int64 {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT partition, epoch FROM export.checkpoints JOIN export.generations USING (generation) WHERE state = 'live'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[int]int64{}
	for rows.Next() {
		var p int
		var epoch int64
		if err := rows.Scan(&p, &epoch); err != nil {
			t.Fatal(err)
		}
		out[p] = epoch
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRefoldsBesideTheLiving refolds an account of one partition repeatedly while others are under
// load, in batches of all partitions. No session restarts, the epochs of the other partitions stay,
// and everything equals an independent fold in the end.
func TestRefoldsBesideTheLiving(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["ADMIN_ADDR"], s.settings["LANES"] = freeAddr(t), "1"
	projector := s.startProjector(t)
	g := workload.New(93, workload.Config{Accounts: 60, HostileShare: 0.1})
	s.mustPublish(t, g, 2000)
	s.waitProjected(t)
	var account string
	var partition int
	err := s.pool.QueryRow(t.Context(), `
SELECT account_id, partition FROM export_g1.account_export WHERE user_json IS NOT NULL ORDER BY position DESC LIMIT 1`).Scan(&account, &partition)
	if err != nil {
		t.Fatal(err)
	}
	before := s.epochs(t)
	published := make(chan error, 1)
	go func() { published <- s.publish(t.Context(), g, 6000, 6*time.Second) }()
	rounds := 0
	for done := false; !done; {
		select {
		case err := <-published:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		// Without this, a row whose count and digest are right would be left alone.
		if _, err := s.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET counted_at = NULL WHERE account_id = $1`, account); err != nil {
			t.Fatal(err)
		}
		s.mustRun(t, 0, "", "refold", "--account", account)
		rounds++
	}
	if rounds < 3 {
		t.Errorf("%d rounds: the test races little", rounds)
	}
	s.waitProjected(t)
	after := s.epochs(t)
	if moved := after[partition] - before[partition]; moved < 3 || moved > int64(rounds) {
		t.Errorf("the epoch of partition %d has moved %d times in %d rounds", partition, moved, rounds)
	}
	delete(before, partition)
	delete(after, partition)
	if !maps.Equal(before, after) {
		t.Errorf("epochs of the others were %v and are %v", before, after)
	}
	for _, reason := range []string{"fenced", "stalled", "source", "store"} {
		line := fmt.Sprintf("projector_restarts_total{reason=%q} 0\n", reason)
		if err := hasMetrics(s.settings["ADMIN_ADDR"], line)(t.Context()); err != nil {
			t.Error(err)
		}
	}
	out := projector.out.tail(1 << 20)
	if begun := strings.Count(out, "partitions begin again at their checkpoints"); begun < 3 || strings.Contains(out, "starting again") {
		t.Errorf("the partition has begun again %d times: %s", begun, out)
	}
	_, messages := s.checkAgainstOracle(t)
	t.Logf("%d messages, %d refolds", messages, rounds)
}

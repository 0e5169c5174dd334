package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/tcpproxy"
	"accountexport/internal/local/testrun"
)

// onRecord is a problem as `status --json` prints it.
type onRecord struct {
	Class     string
	Partition *int
	Reason    string
	Message   string
	Position  *uint64
	Until     *uint64 `json:"until_position"`
	Type      string  `json:"event_type"`
	Replica   string
	Times     int64
}

// problems are those on record, by `status --json`, whatever its exit status.
func (s *system) problems(t *testing.T) []onRecord {
	t.Helper()
	out, _ := command(t, "projector", s.settings, "status", "--json")
	var found struct{ Problems []onRecord }
	if err := json.Unmarshal(jsonPart(out), &found); err != nil || found.Problems == nil {
		t.Fatalf("%v: %s", err, out)
	}
	return found.Problems
}

// startObservedAPI starts an API and returns the address of its metrics.
func (s *system) startObservedAPI(t *testing.T) (admin string) {
	t.Helper()
	admin = freeAddr(t)
	startAPI(t, map[string]string{"DATABASE_URL": s.database, "ADMIN_ADDR": admin})
	return admin
}

// noProblems is a condition: a program reports that nothing is on record.
func noProblems(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, _, body, err := get(ctx, "http://"+addr+"/metrics", "")
		if err != nil {
			return err
		}
		found := false
		for line := range strings.Lines(string(body)) {
			if strings.HasPrefix(line, "projector_problems{") {
				found = true
				if !strings.HasSuffix(line, " 0\n") {
					return fmt.Errorf("on record: %s", line)
				}
			}
		}
		if !found {
			return fmt.Errorf("projector_problems is not there")
		}
		return nil
	}
}

// TestRefusalOutlivesTheProgram: that a projector refused the stream, and ended, is told by the
// API's metrics and by status after it is gone, wherever the stream was lost, until a projector goes
// on again.
func TestRefusalOutlivesTheProgram(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.startObservedAPI(t)
	projector := s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	eventually(t, "nothing on record", time.Minute, noProblems(admin))
	recreateStream(t, s.nats.URL())
	projector.mustExit(t, 12)
	eventually(t, "the API to tell", time.Minute, hasMetrics(admin, `projector_problems{class="refused",reason="recreated"} 1`+"\n",
		"projector_partitions_unowned 16\n"))
	found := s.problems(t)
	if len(found) != 1 || found[0].Class != "refused" || found[0].Reason != "recreated" || found[0].Partition != nil || found[0].Times != 1 ||
		found[0].Position == nil || *found[0].Position != 3 || !strings.Contains(found[0].Message, "exit status 12: the stream was recreated") {
		t.Errorf("on record: %+v", found)
	}
	s.checkRun(t, 12, "on record: `projector run` has refused, recreated: exit status 12: the stream was recreated; it stands at position 3; 1 times", "status")
	for range 3 { // started again and again, by whatever name
		s.mustRun(t, 12, "", "run")
	}
	if found := s.problems(t); len(found) != 1 || found[0].Times != 4 {
		t.Errorf("after four refusals: %+v", found)
	}

	s.publishMarked(t, someone, 2)
	s.mustRun(t, 0, "", "rebuild", "--accept-differences")
	w := s.startObserved(t)
	s.waitProjected(t)
	eventually(t, "the API to tell that it is over", time.Minute, noProblems(admin))
	eventually(t, "the projector to tell that it is over", time.Minute, noProblems(w.addr))
	eventually(t, "all to be owned", time.Minute, hasMetrics(admin, "projector_partitions_unowned 0\n"))
	if found := s.problems(t); len(found) > 0 {
		t.Errorf("still on record: %+v", found)
	}
}

// breakAccount keeps PostgreSQL from storing an account's row until it is mended.
func (s *system) breakAccount(t *testing.T, account events.UUID) (mend func()) {
	t.Helper()
	execute := func(sql string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	execute(`ALTER TABLE export_g1.account_export ADD CONSTRAINT broken CHECK (account_id <> '` + account.String() + `') NOT VALID`)
	return func() { execute(`ALTER TABLE export_g1.account_export DROP CONSTRAINT broken`) }
}

// TestFailureNamesPartitionPositionAndType: where PostgreSQL refuses one account's row, status and
// metrics tell which partition begins again, at which message, and why, and nothing that is in the
// message. Once it is mended nothing is on record any more; so it is, at length, where the projector that had
// the error was killed, and another one goes on.
func TestFailureNamesPartitionPositionAndType(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.startObservedAPI(t)
	first := s.startObserved(t)
	s.publishMarked(t, someone, 2)
	s.waitProjected(t)
	var partition int
	if err := s.pool.QueryRow(t.Context(), `SELECT partition FROM export_g1.account_export WHERE account_id = $1`, someone).Scan(&partition); err != nil {
		t.Fatal(err)
	}
	checkOne := func(when string, position uint64) (replica string) {
		t.Helper()
		eventually(t, when, time.Minute, hasMetrics(admin, `projector_problems{class="error",reason="store"} 1`+"\n"))
		found := s.problems(t)
		if len(found) != 1 {
			t.Fatalf("%s: on record: %+v", when, found)
		}
		p := found[0]
		if p.Class != "error" || p.Reason != "store" || p.Partition == nil || *p.Partition != partition || p.Position == nil || *p.Position != position ||
			p.Until == nil || *p.Until != position || p.Type != "sandbox.created.v1" || p.Message != "PostgreSQL refuses: SQLSTATE 23514" {
			t.Errorf("%s: on record: %+v", when, p)
		}
		return p.Replica
	}

	mend := s.breakAccount(t, uuid(t, someone))
	s.publishSandboxEvent(t, uuid(t, someone), 1, "hunter2")
	checkOne("with the first projector", 3)
	s.checkRun(t, 1, fmt.Sprintf("on record: partition %d begins again, store: PostgreSQL refuses: SQLSTATE 23514; the message at position 3, sandbox.created.v1; ", partition), "status")
	eventually(t, "the projector to tell as well", time.Minute, hasMetrics(first.addr, `projector_problems{class="error",reason="store"} 1`+"\n"))
	s.publishMarked(t, another, 2) // others go on, and it stays
	mend()
	s.waitProjected(t)
	eventually(t, "it to be over", time.Minute, noProblems(admin))
	if !testrun.Long() { // half a minute more
		return
	}

	mend = s.breakAccount(t, uuid(t, someone))
	position := s.info(t).Last + 1
	s.publishSandboxEvent(t, uuid(t, someone), 2, "hunter2")
	replica := checkOne("again", position)
	first.kill()
	if now := checkOne("after it was killed", position); now != replica {
		t.Errorf("%s had the error, and %s is said to", replica, now)
	}
	mend()
	if found := s.problems(t); len(found) != 1 {
		t.Errorf("nobody projects, and on record is %+v", found)
	}
	second := s.startObserved(t)
	s.waitProjected(t)
	eventually(t, "it to be over", time.Minute, noProblems(admin))
	eventually(t, "the second to tell so", time.Minute, noProblems(second.addr))
	var stored string
	if err := s.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(p::text, ''), '') FROM export.problems p`).Scan(&stored); err != nil || stored != "" {
		t.Errorf("left: %s, %v", stored, err)
	}
}

// TestMetricsBeforeTheServersAreThere: a projector that has reached neither NATS nor the database
// is alive, is not ready and says for what it waits, and has metrics; and it projects once they are
// there.
func TestMetricsBeforeTheServersAreThere(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"NATS_URL", "DATABASE_URL"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.publishMarked(t, someone, 2)
			at, waits := s.databaseAddr(), "waiting for the database"
			if setting == "NATS_URL" {
				at, waits = s.nats.Addr(), "waiting for NATS at nats://"
			}
			network := tcpproxy.ForTest(t, at)
			network.Refuse(true)
			w := s.startObservedThrough(t, setting, network)
			eventually(t, "it to tell for what it waits", time.Minute, func(ctx context.Context) error {
				if status, _, body, err := get(ctx, "http://"+w.addr+"/livez", ""); err != nil || status != http.StatusOK {
					return fmt.Errorf("/livez: %d, %w: %s", status, err, body)
				}
				status, _, body, err := get(ctx, "http://"+w.addr+"/readyz", "")
				if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(body), waits) {
					return fmt.Errorf("/readyz: %d, %w: %s", status, err, body)
				}
				return hasMetrics(w.addr, "projector_lag_seconds ", "projector_last_progress_timestamp_seconds 0\n")(ctx)
			})
			if strings.Contains(w.scrape(t), "\nprojector_problems{") {
				t.Error("it tells of problems, and has not read any")
			}
			network.Refuse(false)
			s.waitProjected(t)
			w.waitReports(t, "ok", "projector_lag_seconds 0\n", `projector_problems{class="refused",reason="recreated"} 0`+"\n")
			w.stop(t)
		})
	}
}

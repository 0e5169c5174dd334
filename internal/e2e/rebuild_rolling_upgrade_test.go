package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// firstFormat is the last commit whose programs write the first storage format.
const firstFormat = "5759672"

// programsOf builds the programs of an earlier commit.
func programsOf(t *testing.T, commit string) (projector, api string) {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		testrun.Missing(t, "commit "+commit+" of this repository", "`git fetch --unshallow`, or a clone that is whole")
	}
	dir := t.TempDir()
	var archive, said bytes.Buffer
	git := exec.Command("git", "archive", commit)
	git.Dir, git.Stdout, git.Stderr = filepath.Join("..", ".."), &archive, &said
	if err := git.Run(); err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	tar := exec.Command("tar", "-x", "-C", dir)
	tar.Stdin = &archive
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	build := exec.Command("go", "build", "-o", "built/", "./cmd/projector", "./cmd/api")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "built", "projector"), filepath.Join(dir, "built", "api")
}

// TestRollingUpgrade: programs of an earlier version and of this one share the partitions of one
// generation while the database is migrated and accounts are refolded, and every read is answered.
// Rows that the earlier version wrote have counts and digests once they are verified. After a
// rebuild the earlier API still reads, and the earlier projector no longer writes.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	projector, api := programsOf(t, firstFormat)
	s := provisionWith(t, &system{database: postgres.TestDatabase(t)}, projector)
	s.settings["AUDIT_RATE"] = "0"
	s.settings["TAKEOVER_AFTER"] = "30s" // an earlier program counts a replica with a late heartbeat as dead
	earlier := s.with(projector)
	older := earlier.startProjector(t)
	g := workload.New(81, workload.Config{Accounts: 40, HostileShare: 0.05, ErasureShare: 0.0005, LargeShare: 0.005})
	s.mustPublish(t, g, 3000)
	s.waitFolded(t)
	waitPublished := s.publishOver(t, g, 4000, 10*time.Second)
	readOlder := s.readContinuouslyFrom(t, api)

	s.mustRun(t, 0, "", "provision")
	newer := s.startProjector(t)
	readNewer := s.readContinuouslyOverHTTP(t)
	eventually(t, "both to own partitions", 30*time.Second, func(ctx context.Context) error {
		var n int
		err := s.pool.QueryRow(ctx, `
SELECT count(DISTINCT m.format) FROM export.members m JOIN export.checkpoints c ON c.owner = m.member`).Scan(&n)
		if err == nil && n != 2 {
			err = fmt.Errorf("members of %d formats own partitions", n)
		}
		return err
	})
	s.checkPauseStopsAll(t)
	for _, program := range []*system{earlier, s, earlier} {
		program.checkRun(t, 0, "", "parked", "retry", "--all")
	}
	waitPublished()
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.verifyCountsRows(t, 1)
	for _, p := range []*process{older, newer} {
		select {
		case err := <-p.done:
			t.Errorf("a projector ended: %v", err)
		default:
		}
	}

	// Rows that the earlier program writes from here on have no count; those of the
	// newer one do, and it is right.
	s.mustPublish(t, g, 1000)
	s.waitProjected(t)
	counted, silent := s.countRows(t, 1)
	if counted == 0 || silent == 0 {
		t.Errorf("%d rows are counted and %d are not, of what both have written", counted, silent)
	}
	s.verifyCountsRows(t, 1)

	s.mustRun(t, 0, " 0 of them differ; 0 missing, 0 new", "rebuild")
	s.mustPublish(t, g, 1000)
	s.waitProjected(t)
	refuses := "generation 2 is in storage format 2, and this program writes 1"
	eventually(t, "the older one to say why it does not go on", time.Minute, hasPrinted(older, refuses))
	id := s.accounts(t)[0].String()
	if out, status := commandFile(t, projector, s.settings, "refold", "--account", id); status == 0 || !strings.Contains(out, refuses) {
		t.Errorf("the older refold: exit %d: %s", status, out)
	}
	var members int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.members WHERE format < 2`).Scan(&members); err != nil || members > 0 {
		t.Errorf("%d members cannot write, %v", members, err)
	}
	s.checkAgainstOracle(t)
	if a, b := readOlder(), readNewer(); a == 0 || b == 0 {
		t.Errorf("%d reads of the older API, %d of the newer", a, b)
	}
	s.checkRun(t, 0, "", "verify", "--all")
}

// checkPauseStopsAll: while projecting is paused, no checkpoint of any program advances, although
// events are published.
func (s *system) checkPauseStopsAll(t *testing.T) {
	t.Helper()
	s.mustRun(t, 0, "", "pause")
	before := s.checkpoints(t)
	s.mustPublish(t, workload.New(83, workload.Config{Accounts: 10}), 500)
	if after := s.checkpoints(t); after != before {
		t.Errorf("checkpoints moved while paused:\n%s\n%s", before, after)
	}
	s.mustRun(t, 0, "", "resume")
}

// TestAuditCountsRows: the audit of `projector run` gives rows without count and digest theirs.
func TestAuditCountsRows(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.settings["AUDIT_RATE"] = "64000"
	s.settings["AUDIT_BYTES"] = "1GiB"
	s.mustPublish(t, workload.New(82, workload.Config{Accounts: 10, HostileShare: 0.05}), 600)
	projector := s.startProjector(t)
	s.waitProjected(t)
	if _, err := s.pool.Exec(t.Context(), `UPDATE export_g1.account_export SET counted_at = CASE WHEN parked > 0 THEN position - 1 END`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the audit to come by every row", time.Minute, func(context.Context) error {
		if counted, silent := s.countRows(t, 1); silent > 0 {
			return fmt.Errorf("%d rows are counted and %d are not", counted, silent)
		}
		return nil
	})
	if out := projector.out.tail(1 << 20); strings.Contains(out, "differs from a fold") {
		t.Errorf("the audit found a difference: %s", out)
	}
	s.checkRun(t, 0, "", "verify", "--all")
}

// verifyCountsRows: `verify` finds no difference, and afterwards every row has a count and a
// digest.
func (s *system) verifyCountsRows(t *testing.T, generation int) {
	t.Helper()
	s.checkRun(t, 0, "", "verify", "--all")
	if counted, silent := s.countRows(t, generation); counted == 0 || silent > 0 {
		t.Errorf("%d rows are counted and %d are not, of rows that were verified", counted, silent)
	}
}

// countRows counts the rows of a generation with and without a current count of messages.
func (s *system) countRows(t *testing.T, generation int) (counted, silent int) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), fmt.Sprintf(`
SELECT count(*) FILTER (WHERE counted_at = position AND messages > 0), count(*) FILTER (WHERE counted_at IS DISTINCT FROM position)
FROM export_g%d.account_export`, generation)).Scan(&counted, &silent)
	if err != nil {
		t.Fatal(err)
	}
	return counted, silent
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/internal/workload"
)

// availability is the manual that both tests follow.
const availability = "doc/availability.md"

// manualBlocks are the blocks of doc/availability.md that a test runs.
func manualBlocks(t *testing.T, test string, want int) (blocks []documents.Block) {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path == availability && slices.Contains(b.RunBy, test) {
				blocks = append(blocks, b)
			}
		}
	}
	if len(blocks) != want {
		t.Fatalf("%s has %d blocks for this test, and it knows what to do with %d", availability, len(blocks), want)
	}
	return blocks
}

// TestStreamRestoredByCommands follows doc/availability.md: the stream is backed up by the nats
// command, and restored into a cluster that keeps three replicas, where the projector goes on
// beside the database that it had once it is accepted. Restored a second time, it is older than the
// database, and a rebuild takes it on. Both are refused with 12 before.
func TestStreamRestoredByCommands(t *testing.T) {
	t.Parallel()
	nats := testrun.Tool(t, "nats", "go install github.com/nats-io/natscli/nats@v0.5.0")
	blocks := manualBlocks(t, "TestStreamRestoredByCommands", 5)
	s := newSystem(t)
	dir := t.TempDir()
	projector := s.startProjector(t)
	follow := func(b documents.Block) {
		t.Helper()
		env := maps.Clone(s.settings)
		env["PATH"], env["HOME"] = filepath.Dir(s.projector(t))+":"+filepath.Dir(nats)+":"+os.Getenv("PATH"), dir
		runBlock(t, dir, env, b)
	}
	g := workload.New(91, workload.Config{Accounts: 20, HostileShare: 0.05})
	s.mustPublish(t, g, 500)
	s.waitProjected(t)
	follow(blocks[0])
	projector.stop(t)

	cluster := natsserver.ClusterForTest(t, binary(t, "natsd"), 3)
	s.useNATS(t, cluster.URL())
	eventually(t, "the cluster to have a leader", time.Minute, func(ctx context.Context) error {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := jetStream(t, cluster.URL()).AccountInfo(once)
		return err
	})
	follow(blocks[1])
	waitReplicated(t, cluster)
	s.checkRun(t, 12, "", "status")
	follow(blocks[2])
	projector = s.startProjector(t)
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, "", "status")

	projector.stop(t)
	follow(blocks[3])
	waitReplicated(t, cluster)
	s.checkRun(t, 12, "", "status")
	if out, status := s.run(t, "accept", "--yes"); status == 0 {
		t.Errorf("a stream that is older than the database is accepted: %s", out)
	}
	follow(blocks[4])
	s.startHealthy(t)
	s.mustPublish(t, g, 200)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkRun(t, 0, " 0 differ", "verify", "--all")
}

// useNATS has the programs and the test use other servers.
func (s *system) useNATS(t *testing.T, url string) {
	t.Helper()
	s.settings["NATS_URL"] = url
	var err error
	if s.client, err = stream.Connect(t.Context(), stream.Config{URL: url, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
}

// TestPointInTime follows doc/availability.md: after a mistake in the database it is restored to the
// moment before, from a base backup and archived WAL, beside the stream that has gone on. Who was
// erased since that moment is erased in it again by the ledger's export, and what it lacks is
// folded from the stream.
func TestPointInTime(t *testing.T) {
	t.Parallel()
	blocks := manualBlocks(t, "TestPointInTime", 3)
	binaries, err := postgres.Binaries()
	postgres.Check(t, err)
	owner, err := postgres.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	backup, err := os.MkdirTemp("", "accountexport-backup-") // not t.TempDir: the server's user has to be able to pass through it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(backup) })
	for _, dir := range []string{backup, filepath.Join(backup, "wal")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if owner != nil {
			if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	here := func(text string) string { return strings.ReplaceAll(text, "/backup", backup) }
	s := newServer(t, postgres.Options{Settings: map[string]string{"archive_mode": "on",
		"archive_command": here("test ! -f /backup/wal/%f && cp %p /backup/wal/%f")}}) // as the manual says
	follow := func(b documents.Block, moment string) {
		t.Helper()
		b.Text = here(b.Text)
		runBlockAs(t, owner, backup, map[string]string{"PATH": binaries + ":" + os.Getenv("PATH"), "HOME": backup,
			"ADMIN_DATABASE_URL": s.database, "PGDATA": filepath.Join(backup, "data"), "MOMENT": moment}, b)
	}
	projector := s.startProjector(t)
	g := workload.New(92, workload.Config{Accounts: 20, HostileShare: 0.05})
	s.publishMarked(t, someone, 5)
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	follow(blocks[0], "")
	s.mustPublish(t, g, 300)
	s.waitProjected(t)
	var moment string
	if err := s.pool.QueryRow(t.Context(), `SELECT clock_timestamp()::text`).Scan(&moment); err != nil {
		t.Fatal(err)
	}
	s.erase(t, someone, 0, nothingLeft)
	ledger := s.ledgerExport(t, someone)
	projector.kill()
	if _, err := s.pool.Exec(t.Context(), `DROP SCHEMA export_g1 CASCADE`); err != nil { // the mistake
		t.Fatal(err)
	}
	follow(blocks[1], "")
	eventually(t, "the WAL to be archived", time.Minute, func(ctx context.Context) error {
		var left int
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`).Scan(&left)
		if err == nil && left > 0 {
			err = fmt.Errorf("%d files are to come", left)
		}
		return err
	})
	if err := s.pg.StopImmediate(t.Context()); err != nil {
		t.Fatal(err)
	}
	follow(blocks[2], moment)
	restored, err := postgres.Start(t.Context(), postgres.Options{Dir: filepath.Join(backup, "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = restored.Stop(context.Background()) })
	s.database = restored.URL()
	s.settings["DATABASE_URL"] = s.database
	s.openPool(t)
	eventually(t, "the server to be at the moment", time.Minute, func(ctx context.Context) error {
		var recovering bool
		err := s.pool.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering)
		if err == nil && recovering {
			err = errors.New("it is on its way")
		}
		return err
	})

	s.mustPublish(t, g, 200) // the stream has gone on
	s.mustRun(t, 0, "", "provision")
	s.mustRun(t, 0, "1 of them were not", "erasures", "import", ledger)
	s.mustRun(t, 0, "carried out anew", "accept", "--yes")
	s.startHealthy(t)
	s.checkErased(t, someone)
	s.checkNoTraces(t)
	s.checkRun(t, 0, " 0 differ", "verify", "--all")
}

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestUpgradeAndBack follows "Upgrade" of doc/operating.md with the programs of an earlier version,
// and then back: they go on on the migrated database, give way to the new ones one at a time, and
// take over again, and each time every document equals an independent fold. After a rebuild in the
// newer storage format the older projector refuses, until the new one has rolled back.
func TestUpgradeAndBack(t *testing.T) {
	if !testrun.Long() {
		t.Skip("TestRollingUpgrade is the short form")
	}
	t.Parallel()
	projector, api := programsOf(t, firstFormat)
	s := provisionWith(t, &system{database: postgres.TestDatabase(t)}, projector)
	s.settings["AUDIT_RATE"] = "0"
	s.settings["TAKEOVER_AFTER"] = "30s" // an earlier program counts a replica with a late heartbeat as dead
	earlier := s.with(projector)
	g := workload.New(85, workload.Config{Accounts: 40, HostileShare: 0.05, LargeShare: 0.005})
	running := []*process{earlier.startProjector(t), earlier.startProjector(t)}
	s.publishComplete(t, uuid(t, someone))
	s.mustPublish(t, g, 1000)
	s.waitFolded(t)
	readOlder := startAPIFile(t, api, s.database)

	// The new schema beneath the old programs.
	s.mustRun(t, 0, "", "provision")
	readNewer := startAPIFile(t, binary(t, "api"), s.database)
	s.mustPublish(t, g, 1000)
	s.checkFolded(t, readOlder, readNewer)
	for _, command := range []string{"status", "verify"} {
		args := map[string][]string{"status": {"status"}, "verify": {"verify", "--all"}}[command]
		earlier.checkRun(t, 0, "", args...)
	}

	// The new programs take over, one at a time, and then the old ones again.
	for _, to := range []*system{s, earlier} {
		for i := range running {
			waitPublished := s.publishOver(t, g, 500, 2*time.Second)
			next := to.startProjector(t)
			eventually(t, "the new member to own partitions", time.Minute, s.owners(3))
			running[i].stop(t)
			running[i] = next
			waitPublished()
		}
		eventually(t, "the old members to be gone", time.Minute, s.owners(2))
		s.mustPublish(t, g, 500)
		s.checkFolded(t, readOlder, readNewer)
	}

	earlier.checkRun(t, 1, "is outside the valid versions", "provision") // and it changes nothing
	s.mustPublish(t, g, 100)
	s.checkFolded(t, readOlder, readNewer)

	// A rebuild makes the newer storage format, which the old program does not write.
	newer := s.startProjector(t)
	s.mustRun(t, 0, "is live", "rebuild")
	refuses := "generation 2 is in storage format 2, and this program writes 1"
	for _, p := range running {
		eventually(t, "the older one to say why it does not go on", time.Minute, hasPrinted(p, refuses))
	}
	s.mustPublish(t, g, 500)
	s.checkFolded(t, readOlder, readNewer)
	s.mustRun(t, 0, "", "rollback")
	newer.stop(t)
	s.mustPublish(t, g, 500)
	s.checkFolded(t, readOlder, readNewer)
	s.checkRun(t, 0, " 0 differ", "verify", "--all")

	// An erasure by the new program beside old ones, as the manual says.
	s.erase(t, someone, 0, nothingLeft)
	s.waitProjected(t)
	s.checkErased(t, someone)
	s.checkRun(t, 0, "", "status")
	s.checkRun(t, 0, " 0 differ", "verify", "--all")

	// An empty database, for when the generation before is dropped.
	empty := s.with(projector)
	empty.database = postgres.TestDatabase(t)
	empty.settings = maps.Clone(s.settings)
	empty.settings["DATABASE_URL"] = empty.database
	empty.openPool(t)
	empty.mustRun(t, 0, "", "provision")
	empty.startProjector(t)
	empty.waitFolded(t)
	s.checkSame(t, startAPIFile(t, api, empty.database), readNewer)
}

// checkFolded waits until all is projected, and requires that it equals an independent fold and
// that two APIs serve it alike.
func (s *system) checkFolded(t *testing.T, one, other apiClient) {
	t.Helper()
	s.waitProjected(t)
	s.checkAgainstOracle(t)
	s.checkSame(t, one, other)
}

// checkSame requires that two APIs answer alike, of every account that has a document.
func (s *system) checkSame(t *testing.T, one, other apiClient) {
	t.Helper()
	for _, id := range s.completeAccounts(t) {
		status, header, body, err := one.get(t.Context(), id.String(), "")
		also, same, bytesToo, err2 := other.get(t.Context(), id.String(), "")
		if err != nil || err2 != nil || status != http.StatusOK || also != status || !bytes.Equal(body, bytesToo) || header.Get("ETag") != same.Get("ETag") {
			t.Errorf("account %s: %d %s, %v by the older API, %d %s, %v by the newer, the same bytes: %t", id, status, header.Get("ETag"), err,
				also, same.Get("ETag"), err2, bytes.Equal(body, bytesToo))
		}
	}
}

// waitFolded waits until every checkpoint is at the stream's end, in a database of any version.
func (s *system) waitFolded(t *testing.T) {
	t.Helper()
	eventually(t, "all to be projected", time.Minute, func(ctx context.Context) error {
		info, err := s.client.Info(ctx)
		if err != nil {
			return err
		}
		var behind int
		err = s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE position < $1) + (count(*) = 0)::int FROM export.checkpoints`, info.Last).Scan(&behind)
		if err == nil && behind > 0 {
			err = fmt.Errorf("%d partitions are behind", behind)
		}
		return err
	})
}

// owners returns a condition for [eventually]: so many members own partitions.
func (s *system) owners(want int) func(context.Context) error {
	return func(ctx context.Context) error {
		var n int
		err := s.pool.QueryRow(ctx, `SELECT count(DISTINCT owner) FROM export.checkpoints`).Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("%d do", n)
		}
		return err
	}
}

// startAPIFile starts the API program in a file, and waits until it answers.
func startAPIFile(t *testing.T, file, database string) apiClient {
	t.Helper()
	c := apiClient{addr: freeAddr(t)}
	launchFile(t, file, map[string]string{"DATABASE_URL": database, "HTTP_ADDR": c.addr, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	eventually(t, "the API", 20*time.Second, func(ctx context.Context) error {
		_, _, _, err := c.get(ctx, someone, "")
		return err
	})
	return c
}

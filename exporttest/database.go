package exporttest

import (
	"sync"
	"testing"

	"accountexport/internal/local/postgres"
)

// server counts who needs the shared PostgreSQL server. The lock is held while it is
// stopped, so that a test that begins meanwhile starts another.
var server struct {
	sync.Mutex
	users int
	kept  bool // until Main has run the tests
}

// Main runs a package's tests, which then keep the PostgreSQL server from one to the
// next, and returns the exit status.
func Main(m *testing.M) int {
	server.Lock()
	server.kept = true
	server.Unlock()
	return postgres.Main(m)
}

// database creates a database, which is dropped when the test ends. The last test that
// needs it stops the server.
func database(t testing.TB) string {
	t.Helper()
	server.Lock()
	server.users++
	server.Unlock()
	t.Cleanup(func() { // after the database is dropped
		server.Lock()
		defer server.Unlock()
		if server.users--; server.users > 0 || server.kept {
			return
		}
		if err := postgres.StopShared(); err != nil {
			t.Errorf("exporttest: %v", err)
		}
	})
	return postgres.TestDatabase(t)
}

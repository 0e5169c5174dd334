package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/testrun"
)

// shared is the one server of a test binary. Its lock guards the other fields, and is
// held while the server starts, so that tests in parallel wait for it.
var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Main runs the tests, and then stops the server of [TestDatabase]:
//
//	func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
//
// A test binary that panics, is killed or times out leaves no server behind either,
// only the temporary files.
func Main(m *testing.M) int {
	code := m.Run()
	if err := StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// StopShared stops the server of [TestDatabase] if it runs. The next test that needs it
// starts another.
func StopShared() error {
	shared.Lock()
	defer shared.Unlock()
	server := shared.server
	shared.server = nil
	if server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// None of its data is needed any more, so it stops without a checkpoint.
	err := server.StopImmediate(ctx)
	if err == nil {
		err = server.Stop(ctx)
	}
	return err
}

// TestDatabase creates an empty database in UTF8 and returns its URL. It is dropped
// when the test ends, whatever connections are left. It is on the server of
// DATABASE_URL or, without that, on one server per test binary, which starts on first
// use; see [Main].
func TestDatabase(t testing.TB) string {
	t.Helper()
	admin := sharedURL(t)
	name := databaseName(t.Name())
	ctx := context.Background()
	// template0 has no connections, which would keep it from being copied.
	execute(ctx, t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { execute(ctx, t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })

	u, err := url.Parse(admin)
	if err != nil || u.Scheme == "" {
		return admin + " dbname=" + name // keyword/value form: the last value counts
	}
	u.Path = "/" + name
	return u.String()
}

// sharedURL returns the URL of the shared server, which it starts on first use.
func sharedURL(t testing.TB) string {
	t.Helper()
	if env := os.Getenv("DATABASE_URL"); env != "" {
		return env
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		// Tests in parallel have as many programs together as a usual server has in all, and
		// need as many connections.
		shared.server, shared.err = Start(context.Background(), Options{Settings: map[string]string{"max_connections": "400"}})
	}
	Check(t, shared.err)
	return shared.server.URL()
}

// Check ends a test whose server did not start. Without PostgreSQL the test is
// skipped, with the line that installs it, or fails where CI is set; for every other
// error it fails.
func Check(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		testrun.Missing(t, "PostgreSQL ("+err.Error()+")", "apt install postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func execute(ctx context.Context, t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("test database: %s: %v", sql, err)
	}
}

// databaseName returns a unique name that contains the test's.
func databaseName(test string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, test)
	return "test_" + clean[:min(len(clean), 40)] + "_" + strings.ToLower(rand.Text()[:10])
}

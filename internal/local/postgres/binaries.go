package postgres

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"

	embedded "github.com/fergusstrange/embedded-postgres"

	"accountexport/internal/local/port"
)

// ErrMissing means that the machine has no PostgreSQL programs, and that they could
// not be fetched.
var ErrMissing = errors.New("no PostgreSQL in PATH or /usr/lib/postgresql/*/bin")

// binaries finds the folder of PostgreSQL's programs.
func binaries() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), "initdb")); err == nil {
				return filepath.Dir(p), nil
			}
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) > 0 {
		version := func(i int) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(found[i]))))
			return n
		}
		sort.Slice(found, func(i, j int) bool { return version(i) < version(j) })
		return filepath.Dir(found[len(found)-1]), nil
	}
	return fetchBinaries()
}

// fetchBinaries has embedded-postgres fetch and unpack its binaries, which that does
// on the way to its first start.
func fetchBinaries() (string, error) {
	home, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w, and none can be fetched: %w", ErrMissing, err)
	}
	if os.Geteuid() == 0 {
		return "", fmt.Errorf("%w, and root cannot run fetched binaries: install PostgreSQL, set DATABASE_URL, or run as another user", ErrMissing)
	}
	dir := filepath.Join(home, "accountexport", "postgres")
	on, err := port.Free()
	if err != nil {
		return "", err
	}
	db := embedded.NewDatabase(embedded.DefaultConfig().BinariesPath(dir).RuntimePath(filepath.Join(dir, "run")).
		Port(uint32(on)).Logger(io.Discard))
	if err := db.Start(); err != nil {
		return "", fmt.Errorf("%w, and none could be fetched (install PostgreSQL or set DATABASE_URL): %w", ErrMissing, err)
	}
	if err := db.Stop(); err != nil {
		return "", fmt.Errorf("stop the fetched PostgreSQL: %w", err)
	}
	return filepath.Join(dir, "bin"), nil
}

// Binaries is the folder of PostgreSQL's programs, among them pg_dump.
func Binaries() (string, error) { return binaries() }

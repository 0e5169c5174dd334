package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// accountSeries makes events of so many accounts that no state is used twice while it is cached.
type accountSeries struct {
	random   *rand.Rand
	accounts []events.UUID
	at       events.Time
	n        int
}

func newAccountSeries(n int) *accountSeries {
	m := &accountSeries{random: rand.New(rand.NewPCG(6, 5)), accounts: make([]events.UUID, n), at: events.TimeOf(time.Date(2026, 3, 25, 7, 0, 0, 0, time.UTC))}
	for i := range m.accounts {
		m.accounts[i] = m.uuid()
	}
	return m
}

func (m *accountSeries) uuid() (id events.UUID) {
	for i := range id {
		id[i] = byte(m.random.Uint32())
	}
	return id
}

func (m *accountSeries) meta() events.Meta {
	m.n++
	return events.Meta{ID: fmt.Sprint("many-", m.n), Source: "/test", Time: m.at + events.Time(m.n)}
}

// tier defines the tier of all accounts.
func (m *accountSeries) tier() (events.Message, error) {
	return events.NewQuotaTierDefined(m.meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free", MaxConcurrentSandboxes: 1,
		DailySandboxCreates: 10, DailyGBHours: 1_500_000})
}

// first makes the first two messages of each account.
func (m *accountSeries) first(i int) (events.Message, error) {
	account := m.accounts[i/2]
	if i%2 == 0 {
		return events.NewUserRegistered(m.meta(), account, events.UserRegistered{Email: fmt.Sprintf("user-%d@example.org", i), Tier: "free", QuotaTierID: "free"})
	}
	return events.NewTeamCreated(m.meta(), account, events.TeamCreated{ID: m.uuid(), Name: "Team", Slug: fmt.Sprint("team-", i), QuotaTierID: "free"})
}

// next makes a further message of an account.
func (m *accountSeries) next(i int) (events.Message, error) {
	account := m.accounts[i%len(m.accounts)]
	metadata := fmt.Sprintf(`{"run":"%032x","notes":"%s"}`, m.random.Uint64(), strings.Repeat("n", m.random.IntN(400)))
	return events.NewSandboxCreated(m.meta(), account, events.SandboxCreated{ID: fmt.Sprintf("sbx_%016x", m.random.Uint64()),
		Template: "base", Metadata: []byte(metadata)})
}

// peakMemory is the most memory that the process has used, in bytes.
func (p *process) peakMemory() (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmHWM")
}

// projectWithinMemory lets a projector with a MEMORY_LIMIT catch up, into a slow database, and
// compares its memory with the limit and its connections with what doc/operating.md says.
func (s *system) projectWithinMemory(t *testing.T, limit string, bytes int64, lanes int) {
	t.Helper()
	settings := maps.Clone(s.settings)
	settings["MEMORY_LIMIT"], settings["LANES"] = limit, strconv.Itoa(lanes)
	settings["DATABASE_URL"] = s.slowDatabase(t, 8_000_000)
	p := launch(t, "projector", settings, "run")
	connections := 0
	eventually(t, "everything projected", 3*time.Minute, func(ctx context.Context) error {
		var now int
		if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'accountexport %'`).Scan(&now); err != nil {
			return err
		}
		connections = max(connections, now)
		return s.caughtUp(ctx)
	})
	if connections < 2 || connections > 2*lanes+6 {
		t.Errorf("%d connections at once with %d lanes", connections, lanes)
	}
	most, err := p.peakMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("MEMORY_LIMIT %q, %d lanes: at most %d of %d MiB, %d connections", limit, lanes, most>>20, bytes>>20, connections)
	if most > bytes {
		t.Errorf("MEMORY_LIMIT %q: %d bytes, %d too many", limit, most, most-bytes)
	}
	p.kill()
}

// TestMemoryIsBounded: far behind, with 40,000 active accounts, 200,000 in the long form, and a
// slow database, a projector stays within the smallest MEMORY_LIMIT and within the default. Already
// 40,000 accounts are more than the smallest has room for.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	accounts := 40_000
	if testrun.Long() {
		accounts = 200_000
	}
	s := newSystem(t)
	m := newAccountSeries(accounts)
	s.publishEach(t, 1, func(int) (events.Message, error) { return m.tier() })
	s.publishEach(t, accounts, func(i int) (events.Message, error) { return m.first(2 * i) })
	s.projectWithinMemory(t, "128MiB", 128<<20, 3)
	s.publishEach(t, accounts, func(i int) (events.Message, error) { return m.first(2*(i*7919%accounts) + 1) })
	s.projectWithinMemory(t, "", 512<<20, 1)
	var stored int
	if err := s.pool.QueryRow(context.Background(), `SELECT count(*) FROM export_g1.account_export`).Scan(&stored); err != nil || stored != accounts {
		t.Errorf("%d accounts are stored, %v; want %d", stored, err, accounts)
	}
	s.checkRun(t, 0, "", "verify", "--sample", "40")
}

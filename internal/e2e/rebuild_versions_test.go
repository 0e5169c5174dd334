package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// sourceChange replaces a text in one source file.
type sourceChange struct{ file, from, to string }

// buildProjector builds the projector from changed source.
func buildProjector(t *testing.T, changes ...sourceChange) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	for i, c := range changes {
		original := filepath.Join(root, c.file)
		source, err := os.ReadFile(original)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), c.from) {
			t.Fatalf("%s does not hold %q: the test changes nothing", c.file, c.from)
		}
		replace[original] = filepath.Join(dir, fmt.Sprint(i, ".go"))
		if err := os.WriteFile(replace[original], []byte(strings.ReplaceAll(string(source), c.from, c.to)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file, program := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "projector")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", file, "-o", program, "accountexport/cmd/projector").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// buildNextMinor builds a projector of the next minor projection version, which
// accepts texts twice as long.
func buildNextMinor(t *testing.T) string {
	t.Helper()
	return buildProjector(t, sourceChange{"projections/version.go", "VersionMinor = 0", "VersionMinor = 1"},
		sourceChange{"events/value.go", "MaxText    = 1024", "MaxText = 2048"})
}

// TestNewMinorVersionTakesOver: a program that accepts messages which the running one parks takes
// over its generation and refolds the accounts and tiers with parked messages, and no others. The
// earlier program exits, and refuses the generation from then on.
func TestNewMinorVersionTakesOver(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	newer := s.with(buildNextMinor(t))
	s.settings["AUDIT_RATE"] = "50000"
	s.settings["AUDIT_BYTES"] = "1GiB"
	old := s.startProjector(t)
	g := workload.New(21, workload.Config{Accounts: 40})
	s.mustPublish(t, g, 2000)
	n := 0
	meta := func() events.Meta {
		n++
		return newMeta(fmt.Sprint("v", n))
	}
	publish := func(m events.Message, err error, from, to string) uint64 {
		t.Helper()
		m.Data = []byte(strings.ReplaceAll(string(m.Data), from, to))
		return s.publishEvent(t, m, err)
	}
	long := strings.Repeat("l", 1500)
	account := uuid(t, someone)
	m, err := events.NewUserRegistered(meta(), account, events.UserRegistered{Email: "a@b.example", Tier: "free", QuotaTierID: "long"})
	publish(m, err, "", "")
	m, err = events.NewTeamCreated(meta(), account, events.TeamCreated{ID: account, Name: "n", Slug: "s", QuotaTierID: "long"})
	publish(m, err, "", "")
	m, err = events.NewUserEmailChanged(meta(), account, events.UserEmailChanged{Email: "LONG"})
	longEmail := publish(m, err, "LONG", long)
	m, err = events.NewQuotaTierDefined(meta(), events.QuotaTierDefined{ID: "long", DisplayName: "LONG"})
	publish(m, err, "LONG", long)
	at := publish(events.Message{Subject: events.AccountSubject(account), Data: []byte("no JSON")}, nil, "", "")
	s.waitProjected(t)
	exports := export.NewReader(s.pool)
	before, err := exports.Meta(t.Context(), account)
	if err != nil || before.State != export.Incomplete || before.Parked != 2 {
		t.Fatalf("by the old version: %+v, %v", before, err)
	}

	waitPublished := s.publishOver(t, g, 3000, 6*time.Second)
	next := newer.startProjector(t)
	if status := old.wait(); status == 0 || hasPrinted(old, "projection version 1.1, and this program is 1.0")(t.Context()) != nil {
		t.Errorf("the old one ended with %d: %s", status, old.out.tail(400))
	}
	eventually(t, "the new one to refold", 30*time.Second, hasPrinted(next, "refolded what an older version had parked"))
	waitPublished()
	s.waitProjected(t)
	d, err := exports.Open(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var body bytes.Buffer
	if _, err := d.WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	if d.Parked != 1 || d.Position != at || strings.Count(body.String(), long) != 2 || d.ETag() == before.ETag() {
		t.Errorf("refolded: %+v, %s", d.Meta, body.String())
	}
	newer.checkRun(t, 0, "", "verify", "--all")
	s.checkRun(t, 10, "projection version 1.1, and this program is 1.0", "run")
	s.checkRun(t, 10, "1.1", "parked", "retry", "--account", someone)
	if out := next.out.tail(1 << 20); strings.Contains(out, "differs from a fold") {
		t.Errorf("the audit found a difference: %s", out)
	}
	newer.checkRun(t, 0, " 0 of them differ", "rebuild")
	newer.checkDismissal(t, account, at, longEmail)
}

// checkDismissal: a dismissed message is not counted as parked, also in a generation that is built
// later, and stays listed.
func (s *system) checkDismissal(t *testing.T, account events.UUID, at, accepted uint64) {
	t.Helper()
	s.checkRun(t, 1, "no message is parked", "parked", "dismiss", fmt.Sprint(accepted), "--note", "x")
	s.checkRun(t, 2, "--note", "parked", "dismiss", fmt.Sprint(at), "--note", " ")
	for _, note := range []string{"first note", "published again"} { // the second replaces the first
		s.checkRun(t, 0, "is dismissed", "parked", "dismiss", fmt.Sprint(at), "--note", note)
		s.checkParkedCounts(t, account, 1, 1)
	}
	s.checkRun(t, 0, "published again", "parked", "list")
	s.checkRun(t, 0, "published again", "parked", "show", fmt.Sprint(at))
	s.checkRun(t, 0, "0 have changed", "parked", "retry", "--account", account.String())
	s.checkParkedCounts(t, account, 1, 1)
	s.checkRun(t, 0, "is live", "rebuild")
	s.waitProjected(t)
	s.checkParkedCounts(t, account, 1, 1)
	s.checkRun(t, 0, "published again", "parked", "list")
	st, err := admin.ReadStatus(t.Context(), s.pool)
	all := int64(0)
	for _, p := range st.Partitions {
		all += p.Tally[projections.Parked]
	}
	if err != nil || st.Dismissed != 1 || st.Parked != all-1 {
		t.Errorf("status: %d parked, %d dismissed, %v", st.Parked, st.Dismissed, err)
	}
	s.checkRun(t, 0, "0 differ", "verify", "--account", account.String())
}

// checkParkedCounts requires these numbers of parked and dismissed messages of an account.
func (s *system) checkParkedCounts(t *testing.T, account events.UUID, parked, dismissed int) {
	t.Helper()
	m, err := export.NewReader(s.pool).Meta(t.Context(), account)
	if err != nil || m.Parked != parked || m.Dismissed != dismissed {
		t.Errorf("account: %d parked, %d dismissed, %v; want %d and %d", m.Parked, m.Dismissed, err, parked, dismissed)
	}
}

// TestNewMajorVersionRebuilds: a program that folds the same messages to other documents refuses
// the live generation, and rebuilds while the earlier program keeps that generation current. After
// the cut-over the earlier program refuses.
func TestNewMajorVersionRebuilds(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	newer := s.with(buildProjector(t,
		sourceChange{"projections/version.go", "VersionMajor = 1", "VersionMajor = 2"},
		sourceChange{"projections/patch.go", `"destroyed"`, `"demolished"`}))
	old := s.startProjector(t)
	g := workload.New(22, workload.Config{Accounts: 60})
	s.mustPublish(t, g, 4000)
	s.waitProjected(t)
	newer.mustRun(t, 10, "projector rebuild", "run")
	waitPublished := s.publishOver(t, g, 3000, 5*time.Second)
	endReading := s.readContinuously(t)
	checkContains(t, newer.mustRun(t, 0, "generation 2 is live", "rebuild"), "sandboxes differs")
	ended := make(chan int, 1)
	go func() { ended <- old.wait() }()
	select {
	case status := <-ended:
		if status != 10 || hasPrinted(old, "projection version 2.0")(t.Context()) != nil {
			t.Errorf("the old program ended with %d: %s", status, old.out.tail(400))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the old program still runs")
	}
	newer.startProjector(t)
	waitPublished()
	s.waitProjected(t)
	if n := endReading(); n == 0 {
		t.Error(errors.New("nothing was read meanwhile"))
	}
	newer.checkRun(t, 0, " 0 differ", "verify", "--all")
	s.checkRun(t, 0, "", "rollback")
	s.startProjector(t)
	s.waitProjected(t)
	s.checkAgainstOracle(t)
}

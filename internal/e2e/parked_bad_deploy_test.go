package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// badDeploy is a control plane that made two mistakes in everybody's e-mail address: for one half
// of the accounts it is too long for this projector, and for the other half it is an object with a
// password.
type badDeploy struct {
	*system
	accounts []events.UUID
	n        int // of events so far
}

func (d *badDeploy) meta() events.Meta {
	d.n++
	return newMeta(fmt.Sprint("deploy-", d.n))
}

// publishForEach publishes an event of each wanted account, with its data changed.
func (d *badDeploy) publishForEach(t *testing.T, wanted func(i int) bool, each func(i int, id events.UUID) (events.Message, error), change func(i int, data string) string) {
	t.Helper()
	i := 0
	var failed error
	n, err := d.client.PublishAll(t.Context(), func() (events.Message, bool) {
		for i < len(d.accounts) && !wanted(i) {
			i++
		}
		if i == len(d.accounts) || failed != nil {
			return events.Message{}, false
		}
		m, err := each(i, d.accounts[i])
		if failed = err; change != nil {
			m.Data = []byte(change(i, string(m.Data)))
		}
		i++
		return m, err == nil
	})
	if err != nil || failed != nil || n == 0 {
		t.Fatal(n, err, failed)
	}
}

func all(int) bool    { return true }
func even(i int) bool { return i%2 == 0 }
func odd(i int) bool  { return i%2 == 1 }

// TestABadDeploy: a bad deploy of the control plane parks a message of every account. The operator
// sees the reasons without seeing a password, has one half published anew and dismisses the parked
// messages, lets a newer projector accept the other half, and takes back dismissals that were too
// many. In the end every document is complete. Every step is one command.
func TestABadDeploy(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	newer := s.with(buildNextMinor(t))
	old := s.startProjector(t)
	many := 2000
	if testrun.Long() {
		many = 20000
	}
	d := &badDeploy{system: s}
	for i := range many {
		id, err := events.ParseUUID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1))
		if err != nil {
			t.Fatal(err)
		}
		d.accounts = append(d.accounts, id)
	}
	m, err := events.NewQuotaTierDefined(d.meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	s.publishEvent(t, m, err)
	d.publishForEach(t, all, func(i int, id events.UUID) (events.Message, error) {
		return events.NewUserRegistered(d.meta(), id, events.UserRegistered{Email: fmt.Sprintf("before%d@example.org", i), Tier: "free", QuotaTierID: "free"})
	}, nil)
	d.publishForEach(t, all, func(_ int, id events.UUID) (events.Message, error) {
		return events.NewTeamCreated(d.meta(), id, events.TeamCreated{ID: id, Name: "T", Slug: "t", QuotaTierID: "free"})
	}, nil)
	email := func(text func(i int) string) func(i int, id events.UUID) (events.Message, error) {
		return func(i int, id events.UUID) (events.Message, error) {
			return events.NewUserEmailChanged(d.meta(), id, events.UserEmailChanged{Email: text(i)})
		}
	}
	long := strings.Repeat("x", 1500)
	d.publishForEach(t, all, email(func(int) string { return "WRONG" }), func(i int, data string) string {
		if even(i) {
			return strings.Replace(data, `"WRONG"`, fmt.Sprintf(`{"addr":"after%d@example.org","pw":"hunter%[1]d"}`, i), 1)
		}
		return strings.Replace(data, "WRONG", fmt.Sprint(long, i), 1)
	})
	eventually(t, "everything projected", 2*time.Minute, s.caughtUp)

	printed := ""
	run := func(s *system, want int, text string, args ...string) string {
		t.Helper()
		began := time.Now()
		out := s.mustRun(t, want, text, args...)
		t.Logf("%v: %v", args, time.Since(began).Round(time.Millisecond))
		printed += out
		return out
	}
	half := many / 2

	// What the operator looks at first.
	run(s, 0, fmt.Sprintf("; %d parked", many), "status")
	groups := parseGroups(t, run(s, 0, "", "parked", "list", "--group-by", "reason", "--json"))
	for _, kind := range []string{"an object", "a text"} {
		reason := "data.email: found " + kind + ", want a text of 1 to 1024 characters, none of them U+0000"
		if groups[reason] != half || len(groups) != 2 {
			t.Fatalf("in groups: %v, want %d of %q", groups, half, reason)
		}
	}
	run(s, 0, "… the first 1000", "parked", "list")
	run(s, 0, "data.email: found a", "parked", "show", fmt.Sprint(3*many))
	if strings.Contains(printed, "hunter") || strings.Contains(printed, "after") {
		t.Error("what was found in the messages was printed")
	}

	// The half that is an object is published anew, and the parked messages are dismissed.
	d.publishForEach(t, even, email(func(i int) string { return fmt.Sprintf("after%d@example.org", i) }), nil)
	run(s, 0, fmt.Sprintf("%d of %d parked messages are dismissed", half, many), "parked", "dismiss", "--reason", "found an object",
		"--note", "published again")
	run(s, 0, fmt.Sprintf("0 of %d parked messages are dismissed", many), "parked", "dismiss", "--reason", "found an object", "--note", "published again")
	run(s, 0, " 0 have changed", "parked", "retry", "--reason", "found a text", "--to", fmt.Sprint(2*many+21)) // this version does not accept it
	eventually(t, "everything projected", 2*time.Minute, s.caughtUp)
	run(s, 0, fmt.Sprintf("; %d parked", half), "status")

	// A newer program accepts the rest: it takes the generation on, and is asked to
	// retry now rather than in the background.
	next := newer.startProjector(t)
	old.wait()
	run(newer, 0, fmt.Sprintf("%d accounts refolded by projection version 1.1", half), "parked", "retry", "--reason", "found a text")
	eventually(t, "nothing to count any more", 2*time.Minute, func(ctx context.Context) error {
		n, err := countParked(ctx, s.pool)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d count", n)
		}
		return err
	})
	run(newer, 1, "none is with \"found a text\"", "parked", "retry", "--reason", "found a text")
	exports := export.NewReader(s.pool)
	for i, id := range d.accounts {
		doc, err := exports.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = doc.WriteTo(&body)
		doc.Close()
		want := fmt.Sprintf(`"email":"after%d@example.org"`, i)
		if odd(i) {
			want = fmt.Sprintf(`"email":"%s%d"`, long, i)
		}
		if err != nil || !strings.Contains(body.String(), want) || doc.Parked != doc.Dismissed {
			t.Fatalf("account %d: %d parked, %d dismissed, %v: %.300s", i, doc.Parked, doc.Dismissed, err, body.String())
		}
	}
	run(newer, 0, " 0 differ", "verify", "--all")

	// Dismissals that were a mistake are taken back.
	run(newer, 0, fmt.Sprintf("%d of %d parked messages are no longer dismissed", half, half), "parked", "undismiss", "--all", "--note", "they were others")
	eventually(t, "the newer one to tell of the dismissals", time.Minute, hasPrinted(next, "parked messages were dismissed, or dismissals taken back"))
	run(newer, 0, fmt.Sprintf("; %d parked", half), "status")
	run(newer, 0, fmt.Sprintf("%d of %d parked messages are dismissed", half, half), "parked", "dismiss", "--type", "user.email_changed.v1", "--note", "they were not")
	run(newer, 0, "is live", "rebuild")
	eventually(t, "everything projected", 2*time.Minute, s.caughtUp)
	run(newer, 0, "; 0 parked", "status")
	eventually(t, "the older one to have told", time.Minute, hasPrinted(old, "messages were parked; `projector parked list --group-by reason` shows them"))
	for _, p := range []*process{old, next} {
		out := p.out.tail(1 << 20)
		if strings.Contains(out, "hunter") || strings.Contains(out, "after1@") {
			t.Error("what was found in the messages was logged")
		}
		if lines := strings.Count(out, "messages were parked"); lines > 30 {
			t.Errorf("%d lines tell of what was parked", lines)
		}
	}
}

// parseGroups reads the output of `parked list --group-by reason --json`.
func parseGroups(t *testing.T, out string) map[string]int {
	t.Helper()
	groups := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var g struct {
			Reason   string
			Messages int
			Accounts int
		}
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil || g.Messages != g.Accounts {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		groups[g.Reason] = g.Messages
	}
	return groups
}

// countParked is the number of parked messages that are not dismissed.
func countParked(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	st, err := admin.ReadStatus(ctx, pool)
	return st.Parked, err
}

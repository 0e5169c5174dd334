package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
	"accountexport/internal/oracle"
	"accountexport/readmodel/export"
)

// incidentAtLength is how many messages are parked in doc/incident.md, and at length.
const incidentAtLength = 20_000

// TestIncident follows doc/incident.md to the letter, at a tenth of its size where it does not run at
// length: a deploy of a producer parks 20,000 messages of as many accounts, and whoever is on call has
// them corrected, imported and dismissed. The commands that change something are killed half-way and
// called twice at once before. In the end every document is that of a history without the deploy, by
// an independent fold.
func TestIncident(t *testing.T) {
	t.Parallel()
	testrun.Tool(t, "jq", "apt-get install jq")
	scale := testrun.AtLength(10, 1)
	stages := readIncident(t, scale)
	_, prelude, _ := readRunbook(t)
	o := newOnCall(t, newSystem(t), "api")
	o.prelude = prelude
	o.systemdDoes(t, "start", "accountexport-projector", "accountexport-api")
	d := &deploy{onCall: o, without: oracle.New(), accounts: incidentAtLength / scale}
	d.happens(t)
	eventually(t, "everything projected", 2*time.Minute, o.caughtUp)

	stop := d.goesOn(t)
	for _, stage := range stages {
		switch stage.Heading {
		case "Over":
			if n := stop(); n == 0 {
				t.Error("nothing was published meanwhile")
			}
		case "Imported":
			d.cutOff(t, "corrected.ndjson", "import", "corrected.ndjson")
		case "Dismissed":
			d.cutOff(t, "dismissed", "parked", "dismiss", "--reason", "data.email", "--note", "corrected and imported, INC-7")
		}
		for _, step := range stage.Parts["The operator"].Steps {
			began := time.Now()
			switch stage.Heading {
			case "The alert", "Over":
				o.over(t, step) // metrics follow within seconds
			default:
				out, err := o.sh(t, "set -e\n"+step.Block.Text)
				if err == nil {
					err = step.Matches(out)
				}
				if t.Logf("%s\n%s%s", step.Block.At(), step.Block.Text, out); err != nil {
					t.Fatalf("%s: %v", step.Block.At(), err)
				}
			}
			t.Logf("%s took %s", step.Block.At(), time.Since(began).Round(time.Millisecond))
		}
	}
	d.checkWhole(t)
}

// readIncident gives the stages of the document, with what it promises of thousands divided by scale.
func readIncident(t *testing.T, scale int) []documents.Entry {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d documents.Document) bool { return d.Path == documents.Incident })
	if i < 0 {
		t.Fatal("there is no " + documents.Incident)
	}
	stages, err := all[i].Entries()
	if err != nil {
		t.Fatal(err)
	}
	known, thousands := 0, regexp.MustCompile(`\b[1-9]\d*000\b`)
	for _, stage := range stages {
		for _, part := range stage.Parts {
			for _, step := range part.Steps {
				known++
				for i, line := range step.Prints {
					step.Prints[i] = thousands.ReplaceAllStringFunc(line, func(s string) string {
						n, _ := strconv.Atoi(s) // digits
						return strconv.Itoa(n / scale)
					})
				}
			}
		}
	}
	if blocks := slices.DeleteFunc(all[i].Blocks(), func(b documents.Block) bool { return b.Lang != "sh" }); len(blocks) != known || known < 10 {
		t.Fatalf("doc/incident.md has %d blocks of commands, of which %d belong to its stages", len(blocks), known)
	}
	return stages
}

// deploy is a control plane's deploy with three mistakes.
type deploy struct {
	*onCall
	accounts int
	without  *oracle.Fold // of the history in which it did not happen
	position uint64       // of that
	n        int          // of events so far
}

// accountOf is the id of an account; the first is that whose token is at hand.
func (d *deploy) accountOf(t *testing.T, i int) events.UUID {
	t.Helper()
	if i == 0 {
		return uuid(t, someone)
	}
	return uuid(t, fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))
}

// Which mistake is made of an account: three in five, seven in twenty, and one in twenty.
const (
	wrongAddress = iota
	wrongTemplate
	loadTest
)

func mistake(i int) int {
	switch i % 20 {
	case 19:
		return loadTest
	case 1, 4, 7, 10, 13, 16, 18:
		return wrongTemplate
	}
	return wrongAddress
}

// published is an event as it was meant, and what the deploy makes of it: of the first text the
// second. A right event has neither.
type published struct {
	events.Message
	right, wrong string
}

// happens publishes the accounts' histories: what was before, and the deploy with right events
// between the wrong ones.
func (d *deploy) happens(t *testing.T) {
	t.Helper()
	d.round(t, 1, func(int, events.Meta) (published, error) {
		m, err := events.NewQuotaTierDefined(d.meta(), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
		return published{Message: m}, err
	})
	d.round(t, d.accounts, func(i int, meta events.Meta) (published, error) {
		m, err := events.NewUserRegistered(meta, d.accountOf(t, i), events.UserRegistered{Email: fmt.Sprintf("before%d@example.org", i), Tier: "free", QuotaTierID: "free"})
		return published{Message: m}, err
	})
	d.round(t, d.accounts, func(i int, meta events.Meta) (published, error) {
		id := d.accountOf(t, i)
		m, err := events.NewTeamCreated(meta, id, events.TeamCreated{ID: id, Name: "T", Slug: "t", QuotaTierID: "free"})
		return published{Message: m}, err
	})
	d.round(t, 2*d.accounts, func(i int, meta events.Meta) (published, error) {
		id, right := d.accountOf(t, i/2), i%2 == 1
		sandbox := fmt.Sprint("sbx-", i/2)
		switch kind := mistake(i / 2); {
		case kind == wrongTemplate && right:
			m, err := events.NewSandboxStarted(meta, id, events.SandboxStarted{ID: sandbox})
			return published{Message: m}, err
		case right:
			m, err := events.NewUserProfileUpdated(meta, id, events.UserProfileUpdated{Name: events.Some(fmt.Sprint("Name ", i))})
			return published{Message: m}, err
		case kind == wrongTemplate:
			m, err := events.NewSandboxCreated(meta, id, events.SandboxCreated{ID: sandbox, Template: strconv.Itoa(10_000 + i)})
			return published{m, fmt.Sprintf(`"template":"%d"`, 10_000+i), fmt.Sprintf(`"template":%d`, 10_000+i)}, err
		case kind == loadTest:
			m, err := events.NewUserTierChanged(meta, id, events.UserTierChanged{Tier: "load", QuotaTierID: "free"})
			return published{m, `"tier":"load"`, `"tier":""`}, err
		default:
			address := fmt.Sprintf(`"after%d@example.org"`, i)
			m, err := events.NewUserEmailChanged(meta, id, events.UserEmailChanged{Email: strings.Trim(address, `"`)})
			return published{m, `"email":` + address, `"email":{"addr":` + address + `}`}, err
		}
	})
}

func (d *deploy) meta() events.Meta {
	d.n++
	return newMeta(fmt.Sprint("deploy-", d.n))
}

// round publishes an event for each of 0 to n-1, with one text in it changed, and folds what was
// meant into the history without the deploy: of the load test nothing.
func (d *deploy) round(t *testing.T, n int, each func(i int, meta events.Meta) (published, error)) {
	t.Helper()
	d.publishEach(t, n, func(i int) (events.Message, error) {
		p, err := each(i, d.meta())
		m := p.Message
		if err != nil {
			return m, err
		}
		if p.wrong != `"tier":""` {
			d.position++
			d.without.Apply(oracle.Message{Position: d.position, Subject: m.Subject, Header: m.Header, Data: m.Data})
		}
		if p.right != "" {
			changed := strings.Replace(string(m.Data), p.right, p.wrong, 1)
			if changed == string(m.Data) {
				return m, fmt.Errorf("%s has no %s", m.Data, p.right)
			}
			m.Data = []byte(changed)
		}
		return m, nil
	})
}

// goesOn publishes right events of another account until it is stopped, which gives how many.
func (d *deploy) goesOn(t *testing.T) (stop func() int) {
	t.Helper()
	id := uuid(t, another)
	ctx, cancel := context.WithCancel(t.Context())
	n, ended := 0, make(chan error, 1)
	go func() {
		for sleep(ctx, 50*time.Millisecond) == nil {
			m, err := events.NewUserProfileUpdated(newMeta(fmt.Sprint("meanwhile-", n)), id, events.UserProfileUpdated{Name: events.Some(fmt.Sprint("Name ", n))})
			if err == nil {
				_, err = d.client.PublishRaw(t.Context(), m)
			}
			if err != nil {
				ended <- err
				return
			}
			n++
		}
		ended <- nil
	}()
	return func() int {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return n
	}
}

// cutOff runs a command twice, each time killed at some moment, and then two of them at once, of
// which one has to succeed. done is the file or what else it leaves.
func (d *deploy) cutOff(t *testing.T, done string, args ...string) {
	t.Helper()
	d.settings["HOME"] = d.dir
	start := func() *process {
		inDir := append([]string{"-c", `cd "$0" && exec "$@"`, d.dir, d.projector(t)}, args...)
		return launchFile(t, "/bin/sh", d.settings, inDir...)
	}
	for range 2 {
		before := d.state(t, done)
		p := start()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_ = pollUntil(ctx, func(context.Context) error { // or until it is done
			if d.state(t, done) == before && len(p.done) == 0 {
				return errors.New("nothing is done yet")
			}
			return nil
		})
		cancel()
		p.kill()
		t.Logf("%v: killed: %s", args, p.out.tail(300))
	}
	first, second := start(), start()
	if a, b := first.wait(), second.wait(); a != 0 && b != 0 {
		t.Errorf("%v twice at once: exit %d and %d: %s\n%s", args, a, b, first.out.tail(500), second.out.tail(500))
	}
}

// state is how far a command has come.
func (d *deploy) state(t *testing.T, done string) string {
	t.Helper()
	if done != "dismissed" {
		b, _ := os.ReadFile(filepath.Join(d.dir, done+".progress")) // not there yet
		return string(b)
	}
	var n int
	if err := d.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.dismissals`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(n)
}

// checkWhole holds every document against the history without the deploy, and requires that no
// parked message counts in one, and that each correction is in the stream once.
func (d *deploy) checkWhole(t *testing.T) {
	t.Helper()
	exports, compared := export.NewReader(d.pool), 0
	for i := range d.accounts {
		id := d.accountOf(t, i)
		doc, err := exports.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		_, err = doc.WriteTo(&body)
		doc.Close()
		want := d.without.Account(id.String())
		if diff := oracle.Diff(want.Document, body.Bytes()); err != nil || want.State != oracle.Complete || diff != "" {
			t.Fatalf("account %d, %s: %v: %s", i, want.State, err, diff)
		}
		if doc.Parked != 1 || doc.Dismissed != 1 {
			t.Fatalf("account %d: %d parked, %d dismissed", i, doc.Parked, doc.Dismissed)
		}
		compared++
	}
	ids := map[string]int{}
	for _, m := range d.readMessages(t) {
		if id := m.EventID(); strings.HasSuffix(id, "-corrected") {
			ids[id]++
		}
	}
	for id, n := range ids {
		if n != 1 {
			t.Fatalf("%s is in the stream %d times", id, n)
		}
	}
	if want := d.accounts * 19 / 20; len(ids) != want || compared != d.accounts {
		t.Errorf("%d corrections are in the stream, want %d; %d documents were compared", len(ids), want, compared)
	}
	t.Logf("%d documents compared, %d corrections", compared, len(ids))
}

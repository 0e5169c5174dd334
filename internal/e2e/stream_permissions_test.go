package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// permissions is the table in internal/stream's doc.go, by command.
func permissions(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../stream/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^//\t(.*)$`)
	columns := regexp.MustCompile(`\s{2,}`)
	table, last := map[string][]string{}, ""
	for _, line := range row.FindAllStringSubmatch(string(b), -1) {
		cells := columns.Split(strings.TrimRight(line[1], " "), -1)
		if cells[0] != "" {
			last = cells[0]
		}
		for _, cell := range cells[1:] {
			group, copied := strings.CutSuffix(cell, "/C")
			those, ok := table[group]
			if !ok {
				those = []string{cell}
			}
			for _, subject := range those {
				if copied {
					subject = strings.TrimSuffix(strings.Replace(subject+".", ".S.", ".C.", 1), ".")
				}
				table[last] = append(table[last], subject)
			}
		}
	}
	for name := range table {
		if strings.ToUpper(name) == name {
			delete(table, name)
		}
	}
	return table
}

// permittedAct is a command that is compared with its row of the table.
type permittedAct struct {
	row    string
	args   []string
	only   string                                         // a text in the subjects that are taken away; the other subjects are for other arguments
	before func(t *testing.T)                             // called once before the command
	works  func(t *testing.T, settings map[string]string) // default: the command exits with 0
}

// grants configures users of a server, each of whom may publish on some subjects and receive
// answers.
type grants struct {
	users []string // lines of the configuration
}

// user adds a user with exactly these permissions, and returns the settings for it.
func (g *grants) user(settings map[string]string, may []string) map[string]string {
	name := fmt.Sprint("user", len(g.users))
	allowed := `[ "` + strings.Join(may, `", "`) + `" ]`
	g.users = append(g.users, fmt.Sprintf(`{ user: %q, password: "hunter2", permissions: { publish: { allow: %s }, subscribe: { allow: ["_INBOX.>"] } } }`, name, allowed))
	out := maps.Clone(settings)
	out["NATS_USER"], out["NATS_PASSWORD"] = name, "hunter2"
	return out
}

func (g *grants) config(rest string) string {
	return "jetstream: enabled\n" + rest + "\nno_auth_user: anybody\nauthorization { users: [ { user: anybody, password: anybody }\n" +
		strings.Join(g.users, "\n") + " ] }\n"
}

// of are the permissions of a row for a stream, under a prefix.
func of(row []string, prefix, stream, copied string) (out []string) {
	for _, subject := range row {
		subject = strings.Replace(subject, "API.", prefix+".", 1) + "."
		subject = strings.Replace(subject, ".S.", "."+stream+".", 1)
		subject = strings.Replace(subject, ".C.", "."+copied+".", 1)
		out = append(out, strings.TrimSuffix(subject, "."))
	}
	return out
}

// TestPermissionsOfEachCommand runs each command of the table in internal/stream as a user with
// exactly the permissions of its row, where it works, and as users who lack one of them, which it
// then names, having changed nothing. The short form takes one of the permissions in READ from each
// command, a different one each time.
func TestPermissionsOfEachCommand(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	table := permissions(t)
	meta := func(id string) events.Meta {
		return newMeta(id)
	}
	ids := map[string]string{}
	for i, name := range []string{"kept", "erased", "anew", "anew too", "copied"} {
		ids[name] = fmt.Sprintf("%d0c90c3c-0000-4000-8000-000000000000", i+1)
	}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		n := 3
		if name == "kept" {
			n = 12 // few messages are read without a consumer
		}
		s.publishMarked(t, ids[name], n)
	}
	ids["nobody"] = "90c90c3c-0000-4000-8000-000000000000"
	if _, err := s.client.PublishRaw(t.Context(), events.Message{Subject: "controlplane.account." + ids["kept"], Data: []byte("{}")}); err != nil {
		t.Fatal(err) // to be parked
	}
	kept := uuid(t, ids["kept"])
	sound := func(m events.Message, err error) events.Message {
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, m := range []events.Message{
		sound(events.NewTeamCreated(meta("team"), kept, events.TeamCreated{ID: kept, Name: "Team", Slug: "team", QuotaTierID: "free"})),
		sound(events.NewQuotaTierDefined(meta("tier"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})),
	} {
		if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	publish := func(name string, m events.Message) []string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, m.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"publish", path}
	}
	publishAccount := publish("account.json", sound(events.NewUserEmailVerified(meta("verified"), kept)))
	publishTier := publish("tier.json", sound(events.NewQuotaTierDefined(meta("tier again"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})))
	imported := func(args []string) []string {
		path := args[1]
		line, err := os.ReadFile(path)
		if err == nil {
			path += ".ndjson"
			err = os.WriteFile(path, []byte(strings.Replace(string(line), `"id":"`, `"id":"imported `, 1)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return []string{"import", path}
	}
	importAccount, importTier := imported(publishAccount), imported(publishTier)
	owed := func(name string) func(t *testing.T) {
		return func(t *testing.T) {
			path := filepath.Join(dir, "ledger.jsonl")
			line := fmt.Sprintf(`{"account":%q,"erased_at":"2026-03-25T07:11:48Z","position":12,"stream":"CONTROL_PLANE","stream_created":"2026-03-01T00:00:00Z"}`+"\n", ids[name])
			if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			s.mustRun(t, 0, "1 erasures read", "erasures", "import", path)
		}
	}
	var projector *process
	acts := []permittedAct{
		{row: "run", args: []string{"run"}, works: func(t *testing.T, settings map[string]string) {
			p := launch(t, "projector", settings, "run")
			s.waitProjected(t)
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if status := p.wait(); status != 0 {
				t.Errorf("run: exit %d: %s", status, p.out.tail(4000))
			}
			projector = s.startProjector(t)
			s.waitProjected(t)
		}},
		{row: "status", args: []string{"status"}},
		{row: "verify", args: []string{"verify", "--all"}},
		{row: "export", args: []string{"export", "--account", ids["kept"]}},
		{row: "history", args: []string{"history", "--account", ids["kept"]}},
		{row: "check --against-stream", args: []string{"check", publishAccount[1], "--against-stream"}},
		{row: "refold", args: []string{"refold", "--account", ids["kept"]}},
		{row: "parked retry", args: []string{"parked", "retry", "--all"}},
		{row: "rebuild", args: []string{"rebuild", "--cutover=manual"}},
		{row: "cutover", args: []string{"cutover"}},
		{row: "rollback", args: []string{"rollback"}},
		{row: "accept", args: []string{"accept"}},
		{row: "publish", args: publishAccount, only: "account"},
		{row: "publish", args: publishTier, only: "tier"},
		{row: "import", args: importAccount, only: "account"},
		{row: "import", args: importTier, only: "tier"},
		{row: "erase", args: []string{"erase", "--account", ids["erased"]}},
		{row: "erasures remove", before: owed("nobody"), args: []string{"erasures", "remove", "--account", ids["nobody"], "--yes"}},
		{row: "accept that erases anew", before: owed("anew"), args: []string{"accept", "--yes"}},
		{row: "rebuild that erases anew", before: owed("anew too"), args: []string{"rebuild"}},
		{row: "erase --purge-copies", before: func(t *testing.T) { s.createMirror(t, "MIRROR") }, args: []string{"erase", "--account", ids["copied"], "--purge-copies", "MIRROR"}},
	}
	var g grants
	whole, lacking := make([]map[string]string, len(acts)), make([]map[string]map[string]string, len(acts))
	turn := 0
	read := of(table["status"], "$JS.API", "CONTROL_PLANE", "")
	for i, a := range acts {
		may := of(table[a.row], "$JS.API", "CONTROL_PLANE", "MIRROR")
		if len(may) == 0 {
			t.Fatalf("the table has no row %q", a.row)
		}
		whole[i], lacking[i] = g.user(s.settings, may), map[string]map[string]string{}
		for j, subject := range may {
			if !testrun.Long() && slices.Contains(read, subject) && (j+turn)%len(read) != 0 {
				continue
			}
			if !strings.Contains(subject, a.only) {
				continue
			}
			lacking[i][subject] = g.user(s.settings, slices.DeleteFunc(slices.Clone(may), func(s string) bool { return s == subject }))
		}
		turn++
	}
	if err := s.nats.Reconfigure(t.Context(), g.config("")); err != nil {
		t.Fatal(err)
	}
	for i, a := range acts {
		if a.before != nil {
			a.before(t)
		}
		for missing, settings := range lacking[i] {
			out, status := command(t, "projector", settings, a.args...)
			if named := "no permission to publish on " + strings.TrimSuffix(missing, "*"); status != 1 || !strings.Contains(out, named) || strings.Contains(out, "hunter2") {
				t.Errorf("%v without %s: exit %d: %s", a.args, missing, status, out)
			}
		}
		if a.works != nil {
			a.works(t, whole[i])
		} else if out, status := command(t, "projector", whole[i], a.args...); status != 0 {
			t.Errorf("%v with exactly what its row says: exit %d: %s", a.args, status, out)
		}
	}
	if projector == nil {
		t.Fatal("no projector ran")
	}
	for row := range table {
		if !slices.ContainsFunc(acts, func(a permittedAct) bool { return a.row == row }) && !strings.HasPrefix(row, "provision") && row != "relay" { // which have a test each
			t.Errorf("row %q is not tried", row)
		}
	}
	alone := maps.Clone(s.settings)
	alone["NATS_URL"] = "nats://127.0.0.1:1" // where nobody is
	for _, args := range []string{"parked list", "generations list", "erasures list", "erasures export", "pause", "resume", "generations drop 1"} {
		if out, status := command(t, "projector", alone, strings.Fields(args)...); status != 0 && !strings.Contains(out, "generation 1 is ") {
			t.Errorf("%s asks NATS, and has no row: exit %d: %s", args, status, out)
		}
	}
	// A user that may not receive answers is told so.
	deaf := maps.Clone(s.settings)
	deaf["NATS_USER"], deaf["NATS_PASSWORD"] = "deaf", "deaf"
	config := strings.Replace(g.config(""), "users: [", `users: [ { user: deaf, password: deaf, permissions: { publish: ">", subscribe: "other.>" } }`+"\n", 1)
	if err := s.nats.Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if out, status := command(t, "projector", deaf, "status"); status != 1 || !strings.Contains(out, "no permission to subscribe to _INBOX.>") {
		t.Errorf("exit %d: %s", status, out)
	}
}

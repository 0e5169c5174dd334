package projections

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections/internal/script"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/fold")

// TestFoldScripts runs the scripts in testdata/fold. A script holds its own expectation:
// what a line prints stands indented below it, and -update rewrites it, to be reviewed as
// text. The lines are described in testdata/fold/README.md.
//
// The runner is our own, since it is shorter than the parser of cockroachdb/datadriven,
// whose directives and separators would outweigh the one line that each event is here.
func TestFoldScripts(t *testing.T) {
	for _, path := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(s.out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(strings.Split(string(text), "\n"), strings.Split(s.out.String(), "\n")); diff != "" {
				t.Errorf("-update rewrites it (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScriptsCoverTheContract compares the scripts with the contract's tables: there is one
// in which each type of §2 has each outcome of §3 that it can have.
func TestScriptsCoverTheContract(t *testing.T) {
	seen := map[TypeOutcome]bool{}
	for _, path := range scripts(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for k := range runScript(t, string(text)).seen {
			seen[k] = true
		}
	}
	for _, typ := range events.Types() {
		want := []Outcome{Applied, Parked}
		short := events.ShortType(typ)
		switch {
		case typ == events.TypeQuotaTierDefined, typ == events.TypeAccountErased:
		case strings.HasSuffix(short, ".created.v1"), typ == events.TypeUserRegistered:
			want = append(want, Duplicate, Ignored)
		case strings.HasPrefix(short, "quota_usage."):
			want = append(want, Ignored)
		default:
			want = append(want, Deferred, Ignored)
		}
		for _, out := range want {
			if !seen[TypeOutcome{typ, out}] {
				t.Errorf("no script has %s %s", short, out)
			}
		}
	}
}

func scripts(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/fold/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return paths
}

// running is a script that is being run.
type running struct {
	fold     *Fold
	out      strings.Builder
	messages []Message
	names    script.Names
	seen     map[TypeOutcome]bool
}

func runScript(t *testing.T, text string) *running {
	t.Helper()
	s := &running{fold: NewFold(), names: script.Names{}, seen: map[TypeOutcome]bool{}}
	for n, line := range script.Lines(text) {
		fmt.Fprintln(&s.out, line)
		if script.IsComment(line) {
			continue
		}
		result, err := s.run(line)
		if err != nil {
			t.Fatalf("line %d: %s: %v", n, line, err)
		}
		for _, l := range result {
			fmt.Fprintln(&s.out, "    "+s.names.Shorten(l))
		}
	}
	return s
}

func (s *running) run(line string) ([]string, error) {
	command, rest, _ := strings.Cut(line, " ")
	if show := map[string]func(*Account) ([]string, error){
		"state": s.state, "doc": s.document, "user": user, "team": team,
		"usage":     func(a *Account) ([]string, error) { return items(&a.usage), nil },
		"keys":      func(a *Account) ([]string, error) { return items(&a.keys), nil },
		"sandboxes": func(a *Account) ([]string, error) { return items(&a.sandboxes), nil },
	}[command]; show != nil {
		a := s.fold.Account(s.names.UUID(rest))
		if a == nil {
			return []string{"never heard of"}, nil
		}
		return show(a)
	}
	if command == "tier" {
		d := s.fold.Tier(rest)
		if d == nil {
			return []string{"not defined"}, nil
		}
		return []string{fmt.Sprintf("%s at position %d", d.Body, d.Position)}, nil
	}
	parsed, err := s.names.Message(line, uint64(len(s.messages)+1))
	if err != nil {
		return nil, err
	}
	m := Message{Position: parsed.Position, Time: parsed.Time, Message: parsed.Message}
	s.messages = append(s.messages, m)
	out, reason, err := s.fold.Apply(m)
	if err != nil {
		return nil, err
	}
	d, err := Decode(m)
	if err != nil {
		return nil, err
	}
	s.seen[TypeOutcome{d.Event.Type, out}] = true
	if reason != nil {
		return []string{fmt.Sprintf("%d %s: %v", m.Position, out, reason)}, nil
	}
	return []string{fmt.Sprintf("%d %s", m.Position, out)}, nil
}

func (s *running) state(a *Account) ([]string, error) {
	_, missing, err := s.fold.Document(a.id)
	line := a.State(missing).String()
	if missing != nil {
		line += " without " + strings.Join(missing, ", ")
	}
	line += fmt.Sprintf(", position %d", a.Position())
	if a.erased {
		line += " at " + a.erasedAt.String()
	}
	if a.Parked() > 0 {
		line += fmt.Sprintf(", %d parked", a.Parked())
	}
	var waiting []string
	for k, w := range a.waiting {
		if w.patch != nil {
			waiting = append(waiting, strings.TrimSpace([...]string{"", "user", "team", "key", "sandbox"}[k.kind]+" "+k.id))
		}
	}
	if len(waiting) != a.waitingCount {
		return nil, fmt.Errorf("%d entities are waited for, counted %d", len(waiting), a.waitingCount)
	}
	if slices.Sort(waiting); len(waiting) > 0 {
		line += ", events wait for " + strings.Join(waiting, ", ")
	}
	return []string{line}, err
}

// document prints a section on each line, and an item of a section on a line of its own.
func (s *running) document(a *Account) ([]string, error) {
	doc, missing, err := s.fold.Document(a.id)
	if err != nil || doc == nil {
		return []string{"none: " + a.State(missing).String()}, err
	}
	text := string(doc)
	for _, name := range []string{"team", "quota_tier", "quota_usage", "api_keys", "sandboxes"} {
		text = strings.Replace(text, `,"`+name+`":`, ",\n\""+name+`":`, 1)
	}
	text = strings.NewReplacer(`[{`, "[\n  {", `},{`, "},\n  {").Replace(text)
	return strings.Split(text, "\n"), nil
}

func user(a *Account) ([]string, error) {
	if !a.hasUser() {
		return []string{"none"}, nil
	}
	u, err := a.openUser()
	return []string{string(u.appendJSON(nil))}, err
}

func team(a *Account) ([]string, error) {
	if !a.hasTeam() {
		return []string{"none"}, nil
	}
	team, err := a.openTeam()
	return []string{string(team.appendJSON(nil))}, err
}

func items(s *section) []string {
	var out []string
	for _, it := range s.tail {
		out = append(out, string(it.raw))
	}
	if out == nil {
		return []string{"none"}
	}
	return out
}

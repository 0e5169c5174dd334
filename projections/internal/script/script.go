// Package script reads the scripts in projections/testdata/fold, for the tests
// of the fold and of the engine. Their lines are described in the README there.
package script

import (
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"accountexport/events"
)

// Message is a message of a script.
type Message struct {
	events.Message
	Position uint64
	Time     time.Time // the stream's timestamp
}

// Questions are the commands that ask for state. All other lines that are neither
// empty, nor a comment, nor output, are messages.
var Questions = []string{"state", "doc", "user", "team", "usage", "keys", "sandboxes", "tier"}

// Lines yields the lines of a script that are not what it printed before, by
// number.
func Lines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if !strings.HasPrefix(line, "    ") && !yield(n+1, line) {
				return
			}
		}
	}
}

// IsComment reports whether a line is empty or a comment.
func IsComment(line string) bool { return line == "" || strings.HasPrefix(line, "#") }

// Messages are the messages of a script.
func Messages(text string) (all []Message, err error) {
	names := Names{}
	for n, line := range Lines(text) {
		command, _, _ := strings.Cut(line, " ")
		if IsComment(line) || slices.Contains(Questions, command) {
			continue
		}
		m, err := names.Message(line, uint64(len(all)+1))
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", n, line, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// Names are the UUIDs of a script, by the names that it gives them.
type Names map[string]events.UUID

var nameInQuotes = regexp.MustCompile(`"@(\w+)"`)

// UUID is the UUID that a name stands for; it depends on the name alone.
func (n Names) UUID(name string) events.UUID {
	var id events.UUID
	copy(id[:], name)
	id[6], id[8] = 0x40, 0x80
	n[name] = id
	return id
}

func (n Names) expand(text string) string {
	return nameInQuotes.ReplaceAllStringFunc(text, func(m string) string {
		return `"` + n.UUID(m[2:len(m)-1]).String() + `"`
	})
}

// Shorten replaces UUIDs by their names.
func (n Names) Shorten(text string) string {
	for name, id := range n {
		text = strings.ReplaceAll(text, id.String(), "@"+name)
	}
	return text
}

// Start is the time before a script's first message.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Message reads the line of a message: whom it is about, its type, changes to
// the envelope, and its data.
func (n Names) Message(line string, position uint64) (Message, error) {
	m := Message{Position: position, Time: Start.Add(time.Duration(position) * time.Minute)}
	who, rest, _ := strings.Cut(line, " ")
	switch kind, id, _ := strings.Cut(who, ":"); {
	case kind == "subject":
		m.Subject = id
	case kind == "tier":
		m.Subject = events.TierSubject(id)
	case len(who) == 1 && who >= "A" && who <= "Z":
		m.Subject = events.AccountSubject(n.UUID(who))
	default:
		return m, fmt.Errorf("%q is no account, no command", who)
	}
	typ, rest, _ := strings.Cut(rest, " ")
	if typ == "payload" {
		m.Data = []byte(n.expand(rest))
		return m, nil
	}
	e := envelope{}
	e.set("specversion", "1.0")
	e.set("id", fmt.Sprint("m", position))
	e.set("source", "/test")
	if strings.HasPrefix(typ, "controlplane.") {
		e.set("type", typ)
	} else {
		e.set("type", "controlplane."+typ+".v1")
	}
	e.set("time", m.Time.Format(time.RFC3339))
	options, data := rest, "{}"
	if i := strings.IndexByte(rest, '{'); i >= 0 && (i == 0 || rest[i-1] == ' ') {
		options, data = rest[:i], n.expand(rest[i:])
	}
	e.set("data", json.RawMessage(data))
	binary := false
	for _, option := range strings.Fields(options) {
		name, value, ok := strings.Cut(option, "=")
		switch {
		case option == "binary":
			binary = true
		case name[0] == '-':
			e.remove(name[1:])
		case !ok:
			return m, fmt.Errorf("option %q", option)
		case name == "at" && len(value) == len("00:00"):
			e.set("time", "2026-01-01T"+value+":00Z")
		case name == "at":
			e.set("time", value)
		case value == "null" || value != "" && strings.Contains(`"[0`, value[:1]):
			e.set(name, json.RawMessage(n.expand(value)))
		default:
			e.set(name, strings.Trim(n.expand(`"`+value+`"`), `"`))
		}
	}
	if binary {
		m.Header, m.Data = e.headers()
		return m, nil
	}
	m.Data = e.payload()
	return m, nil
}

// envelope is a CloudEvent's members in order, each as JSON.
type envelope struct {
	order  []string
	values map[string]string
}

func (e *envelope) set(name string, value any) {
	b, err := json.Marshal(value)
	if raw, ok := value.(json.RawMessage); ok { // as it stands, also where it is no JSON
		b, err = raw, nil
	}
	if err != nil {
		return
	}
	if e.values == nil {
		e.values = map[string]string{}
	}
	if _, ok := e.values[name]; !ok {
		e.order = append(e.order, name)
	}
	e.values[name] = string(b)
}

func (e *envelope) remove(name string) { delete(e.values, name) }

func (e *envelope) payload() []byte {
	var members []string
	for _, name := range e.order {
		if v, ok := e.values[name]; ok {
			members = append(members, fmt.Sprintf("%q:%s", name, v))
		}
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func (e *envelope) headers() (map[string][]string, []byte) {
	h := map[string][]string{"Content-Type": {"application/json"}}
	for name, v := range e.values {
		if name != "data" {
			h["ce-"+name] = []string{strings.Trim(v, `"`)}
		}
	}
	return h, []byte(e.values["data"])
}

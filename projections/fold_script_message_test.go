package projections

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"accountexport/events"
)

// names are the UUIDs of a script, by the names that it gives them.
type names map[string]events.UUID

var nameInQuotes = regexp.MustCompile(`"@(\w+)"`)

// uuid is a UUID that depends on the name alone.
func (n names) uuid(name string) events.UUID {
	var id events.UUID
	copy(id[:], name)
	id[6], id[8] = 0x40, 0x80
	n[name] = id
	return id
}

func (n names) expand(text string) string {
	return nameInQuotes.ReplaceAllStringFunc(text, func(m string) string {
		return `"` + n.uuid(m[2:len(m)-1]).String() + `"`
	})
}

func (n names) shorten(text string) string {
	for name, id := range n {
		text = strings.ReplaceAll(text, id.String(), "@"+name)
	}
	return text
}

var startOfTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// message reads the line of a message: whom it is about, its type, changes to
// the envelope, and its data.
func (n names) message(line string, position uint64) (Message, error) {
	m := Message{Position: position, Partition: 0, Time: startOfTime.Add(time.Duration(position) * time.Minute)}
	who, rest, _ := strings.Cut(line, " ")
	switch kind, id, _ := strings.Cut(who, ":"); {
	case kind == "subject":
		m.Subject = id
	case kind == "tier":
		m.Subject = events.TierSubject(id)
	case len(who) == 1 && who >= "A" && who <= "Z":
		m.Subject = events.AccountSubject(n.uuid(who))
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

package events_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestEveryFieldOfEveryType puts values of every kind into each field of each
// type, and leaves the field out: Decode agrees with the contract's table.
func TestEveryFieldOfEveryType(t *testing.T) {
	long := strings.Repeat("é", 129)
	values := []string{``, `null`, `true`, `false`, `0`, `1`, `-0`, `-1`, `1.0`, `1.5`, `1e2`, `0.0000001`, `9007199254740991`,
		`9007199254740992`, `999999999999.999999`, `1000000000000`, `""`, `"a"`, `"0"`, `"true"`, `"a\u0000"`, `"\n"`,
		`"` + long + `"`, `"` + strings.Repeat("é", 1024) + `"`, `"` + strings.Repeat("é", 1025) + `"`,
		`"64C38C41-1961-4698-82a7-af9eab79b005"`, `"64c38c41-1961-4698-82a7-af9eab79b00"`, `"2026-03-25"`, `"2026-02-30"`,
		`"2026-03-25T07:10:47.5+01:00"`, `"2026-03-25T07:10:47"`, `[]`, `{}`, `{"a":null}`, `[{}]`,
		`{"a":"` + strings.Repeat("x", 65528) + `"}`, `{"a":"` + strings.Repeat("x", 65529) + `"}`}
	good := map[string]string{"text": `"pro"`, "id": `"sbx"`, "uuid": `"64c38c41-1961-4698-82a7-af9eab79b005"`,
		"time": `"2026-03-25T07:10:47Z"`, "date": `"2026-03-25"`, "integer": `1`, "decimal": `1`, "boolean": `true`, "object": `{}`}
	check := newRecheck()
	for short, rules := range contractTable() {
		t.Run(short, func(t *testing.T) {
			subject := "controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005"
			if short == "quota_tier.defined.v1" {
				subject = "controlplane.quota_tier.pro"
			}
			for name, r := range rules {
				seen := map[verdict]int{}
				for _, value := range values {
					if len(value) > 60_000 && r.kind != "object" { // as good as a small object there
						continue
					}
					var b strings.Builder
					for _, other := range slices.Sorted(maps.Keys(rules)) {
						v := good[rules[other].kind]
						if other == name {
							v = value
						}
						if v != "" {
							fmt.Fprintf(&b, `,%q:%s`, other, v)
						}
					}
					payload := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/s","time":"2026-03-25T07:10:47Z",`+
						`"type":"controlplane.%s","data":{%s}}`, short, strings.TrimPrefix(b.String(), ","))
					m := events.Message{Subject: subject, Data: []byte(payload)}
					got := compareWithRecheck(t, check, m)
					seen[got]++
					if _, _, err := events.Decode(m); err != nil {
						if field := err.(*events.Invalid).Field; field != "data."+name {
							t.Errorf("%s of %.40q is refused for %s", name, value, field)
						}
					}
				}
				if seen[refused] == 0 || seen[accepted] == 0 && !(name == "id" && r.kind == "text") {
					t.Errorf("%s: %v", name, seen)
				}
			}
		})
	}
}

// TestMutatedMessages breaks sound messages at random: Decode agrees with the
// second check on what is left of them.
func TestMutatedMessages(t *testing.T) {
	check := newRecheck()
	seen := map[verdict]int{}
	g, times := newGenerator(testrun.Seed(t)), 100
	if testrun.Long() {
		times = 1000
	}
	pieces := []string{`null`, `"`, `{`, `}`, `[`, `]`, `,`, `:`, `\u0000`, `\ud800`, `\`, "\x00", "\xff", " ", `0`, `-`, `.`, `e1`, `é`, `%`, `,"a":1`}
	for range times {
		for _, typ := range events.Types() {
			account := g.uuid()
			m, _ := g.any(t, typ, g.meta(), account)
			if g.IntN(3) == 0 {
				binary, err := m.Binary()
				if err != nil {
					t.Fatal(err)
				}
				m = binary
			}
			for range 1 + g.IntN(3) {
				m = g.mutate(m, pieces)
			}
			seen[compareWithRecheck(t, check, m)]++
		}
	}
	if seen[accepted] < 5*times/3 || seen[ignored] < times/6 || seen[refused] < 5*times/3 {
		t.Errorf("too few to say anything: %v", seen)
	}
}

// mutate changes one thing about a message.
func (g generator) mutate(m events.Message, pieces []string) events.Message {
	if len(m.Header) > 1 && g.IntN(3) == 0 {
		h := maps.Clone(m.Header)
		names := slices.Sorted(maps.Keys(h))
		name := names[g.IntN(len(names))]
		value := strings.Join(h[name], "")
		switch g.IntN(6) {
		case 0:
			delete(h, name)
		case 1:
			h[strings.ToUpper(name)] = []string{value}
		case 2:
			h[name] = []string{value, value}
		case 3:
			at := g.IntN(len(value) + 1)
			h[name] = []string{value[:at] + pieces[g.IntN(len(pieces))] + value[at:]}
		case 4:
			h[name] = []string{strings.ReplaceAll(value, "e", "%65")}
		case 5:
			h[name] = nil
		}
		m.Header = h
		return m
	}
	data := bytes.Clone(m.Data)
	at := g.IntN(len(data) + 1)
	to := min(len(data), at+g.IntN(3))
	switch g.IntN(4) {
	case 0:
		data = slices.Insert(data, at, []byte(pieces[g.IntN(len(pieces))])...)
	case 1:
		data = slices.Delete(data, at, to)
	case 2:
		data = slices.Insert(data, at, data[at:to]...)
	case 3:
		// Another value for some member.
		if colon := bytes.IndexByte(data[at:], ':'); colon >= 0 {
			data = slices.Insert(data, at+colon+1, []byte(`null,"x":`)...)
		}
	}
	m.Data = data
	return m
}

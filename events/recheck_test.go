package events_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"accountexport/events"
)

// verdict is what becomes of a message by itself alone.
type verdict string

const (
	accepted verdict = "accepted"
	ignored  verdict = "ignored"
	refused  verdict = "refused"
)

// verdictOf is the verdict that Decode's results mean.
func verdictOf(e events.Event, err error) verdict {
	switch {
	case err != nil:
		return refused
	case e.Data == nil:
		return ignored
	}
	return accepted
}

// recheck judges a message a second time, by the contract's table and the
// standard library alone.
type recheck struct {
	patterns
	table map[string]map[string]rule
}

func newRecheck() recheck { return recheck{newPatterns(), contractTable()} }

// attributes are a message's, as JSON values; data is nil where there is none.
type attributes struct {
	values map[string][]byte // only those that are there and not null
	twice  map[string]bool   // binary: given twice, or no UTF-8
	data   []byte
}

func (c recheck) judge(m events.Message) (verdict, error) {
	key := c.account.FindStringSubmatch(m.Subject)
	onTier := false
	if key == nil {
		if key = c.tier.FindStringSubmatch(m.Subject); key == nil {
			return refused, errors.New("subject")
		}
		onTier = true
	}
	a, binary, err := c.attributes(m)
	if err != nil {
		return refused, err
	}
	at := map[string]string{}
	for _, name := range []string{"specversion", "id", "source", "type", "time", "partitionkey"} {
		raw, ok := a.values[name]
		if !ok && name == "partitionkey" {
			continue
		}
		var s string
		if !ok || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || s == "" || a.twice[name] || strings.ContainsFunc(s, unicode.IsControl) {
			return refused, errors.New(name)
		}
		at[name] = s
	}
	if at["specversion"] != "1.0" || !c.isTime(at["time"]) {
		return refused, errors.New("specversion or time")
	}
	if given, ok := at["partitionkey"]; ok && given != key[1] {
		return refused, errors.New("partitionkey")
	}
	rules, known := c.table[strings.TrimPrefix(at["type"], "controlplane.")]
	if !known || !strings.HasPrefix(at["type"], "controlplane.") {
		return ignored, nil
	}
	if isTier := at["type"] == "controlplane.quota_tier.defined.v1"; isTier != onTier {
		return refused, errors.New("type on this subject")
	}
	if raw, ok := a.values["datacontenttype"]; ok {
		var s string
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || a.twice["datacontenttype"] || strings.ContainsFunc(s, unicode.IsControl) {
			return refused, errors.New("datacontenttype")
		}
		if media, _, _ := strings.Cut(s, ";"); !c.media.MatchString(strings.Trim(media, " \t")) {
			return refused, errors.New("datacontenttype")
		}
	}
	if _, ok := a.values["data_base64"]; ok && !binary {
		return refused, errors.New("data_base64")
	}
	members, err := strictObject(a.data)
	if err != nil {
		return refused, fmt.Errorf("data: %w", err)
	}
	return c.judgeData(members, rules, onTier, key[1])
}

func (c recheck) judgeData(members []member, rules map[string]rule, onTier bool, key string) (verdict, error) {
	data := map[string][]byte{}
	for _, m := range members {
		data[m.name] = m.value
	}
	for name, r := range rules {
		raw, ok := data[name]
		switch null := string(raw) == "null"; {
		case !ok && r.field == required, null && (r.field == required || r.field == patched):
			return refused, errors.New("data." + name)
		case !ok, null:
			continue
		}
		least := 1
		if r.field == optional || r.field == nullable {
			least = 0
		}
		if !c.isA(r.kind, raw, least) {
			return refused, errors.New("data." + name)
		}
	}
	if onTier && string(data["id"]) != `"`+key+`"` {
		var id string
		if json.Unmarshal(data["id"], &id) != nil || id != key {
			return refused, errors.New("data.id")
		}
	}
	return accepted, nil
}

func (c recheck) isA(kind string, raw []byte, least int) bool {
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) != nil {
		return false
	}
	switch kind {
	case "text", "id":
		most := map[string]int{"text": 1024, "id": 128}[kind]
		return raw[0] == '"' && !strings.Contains(s, "\x00") && utf8.RuneCountInString(s) >= least && utf8.RuneCountInString(s) <= most
	case "uuid":
		return c.uuid.MatchString(s)
	case "time":
		return c.isTime(s)
	case "date":
		day, err := time.Parse(time.DateOnly, s)
		return err == nil && c.date.MatchString(s) && day.Year() >= 1
	case "integer":
		// As texts of one length, numbers compare as they do as numbers.
		return c.integer.Match(raw) && (len(raw) < 16 || string(raw) <= "9007199254740991")
	case "decimal":
		return c.decimal.Match(raw)
	case "boolean":
		return string(raw) == "true" || string(raw) == "false"
	case "object":
		return raw[0] == '{' && len(raw) <= 65536
	}
	panic("no such kind: " + kind)
}

func (c recheck) isTime(s string) bool {
	at, err := time.Parse(time.RFC3339Nano, s)
	return err == nil && c.time.MatchString(s) && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999
}

// attributes finds a message's attributes in either mode.
func (c recheck) attributes(m events.Message) (attributes, bool, error) {
	headers := map[string][]string{}
	var names []string
	for name := range m.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
			continue // without the case of ASCII letters, and of those alone
		}
		lower := strings.ToLower(name)
		headers[lower] = append(headers[lower], m.Header[name]...)
	}
	content := ""
	if types := headers["content-type"]; len(types) > 0 {
		content, _, _ = strings.Cut(types[0], ";")
		content = strings.ToLower(strings.Trim(content, " \t"))
	}
	a := attributes{values: map[string][]byte{}, twice: map[string]bool{}}
	if content == "application/cloudevents-batch+json" {
		return a, false, errors.New("a batch")
	}
	if content == "application/cloudevents+json" || len(headers["ce-specversion"]) == 0 {
		members, err := strictObject(m.Data)
		for _, m := range members {
			if m.name == "data" {
				a.data = m.value
			} else if string(m.value) != "null" {
				a.values[m.name] = m.value
			}
		}
		return a, false, err
	}
	if len(headers["ce-datacontenttype"]) == 0 {
		headers["ce-datacontenttype"] = headers["content-type"]
	}
	for name, values := range headers {
		attribute, ok := strings.CutPrefix(name, "ce-")
		if !ok || len(values) == 0 {
			continue
		}
		text := c.escape.ReplaceAllStringFunc(values[0], func(s string) string {
			b, _ := hex.DecodeString(s[1:])
			return string(b)
		})
		a.twice[attribute] = len(values) > 1 || !utf8.ValidString(text)
		a.values[attribute], _ = json.Marshal(text)
	}
	a.data = m.Data
	return a, true, nil
}

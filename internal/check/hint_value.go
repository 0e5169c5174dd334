package check

import (
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/internal/importer"
)

func hintTime(h *hinted) string {
	v := h.value()
	if !strings.Contains(h.want, "RFC 3339") || v == nil {
		return ""
	}
	text := importer.Text(v)
	if v.Kind() == '0' || text != "" && strings.Trim(text, "0123456789.") == "" {
		return "a time is a text, such as 2026-03-25T07:11:48Z, not a number of seconds or milliseconds"
	}
	for layout, hint := range map[string]string{
		"2006-01-02T15:04:05.999999999":       "it has no zone: add Z or an offset (Python's datetime.isoformat() has one only for datetime.now(timezone.utc) and the like, Java's LocalDateTime never; toISOString() and time.RFC3339Nano have one)",
		"2006-01-02 15:04:05.999999999":       "there is a T between date and time, and a zone behind it: 2026-03-25T07:11:48Z",
		"2006-01-02 15:04:05.999999999Z07:00": "there is a T between date and time, not a space: 2026-03-25T07:11:48Z",
		"2006-01-02 15:04:05.999999999-07":    "there is a T between date and time, and the offset has minutes: 2026-03-25T07:11:48+00:00 (PostgreSQL writes times otherwise; to_json() writes them so)",
		"2006-01-02":                          "it is a day alone: the time belongs to it, 2026-03-25T00:00:00Z",
	} {
		if _, err := time.Parse(layout, text); err == nil {
			return hint
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil && text != strings.ToUpper(text) {
		return "T and Z are upper case"
	}
	return ""
}

var (
	plainNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	manyDigits  = regexp.MustCompile(`^[0-9]+\.[0-9]{7,}$`)
	wholeFloat  = regexp.MustCompile(`^[0-9]+\.0*$|^[0-9.]+[eE]`)
)

func hintNumber(h *hinted) string {
	v := h.value()
	integer, decimal := strings.Contains(h.want, "an integer"), strings.Contains(h.want, "a decimal")
	switch {
	case !integer && !decimal || v == nil:
		return ""
	case plainNumber.MatchString(importer.Text(v)):
		return "it is a number between quotes: send it as a JSON number (decimals of databases and bigints often become texts)"
	case integer && wholeFloat.Match(v):
		return "it is written as a floating-point number: send digits alone, from an integer type"
	case decimal && manyDigits.Match(v):
		return "it has more than six digits behind the point, as sums of floating-point numbers have: round it to six"
	case decimal && wholeFloat.Match(v):
		return "it is written with an exponent: send plain digits"
	}
	return ""
}

// hintSpelling knows how serializers of other languages spell a name.
func hintSpelling(h *hinted) string {
	if h.found != "nothing" {
		return ""
	}
	members, name := h.attributes, h.field
	if inner, ok := strings.CutPrefix(h.field, "data."); ok {
		members, name = h.data, inner
	}
	if s := spelled(members, name); s != "" {
		return "there is a member " + s + ": names are compared exactly, and this one is " + name
	}
	return ""
}

// spelled is another spelling of a name under which there is a member; empty where
// there is none. It is made from the name, not taken from the event.
func spelled(members map[string]jsontext.Value, name string) string {
	words := strings.Split(name, "_")
	if name == "specversion" {
		words = []string{"spec", "version"}
	}
	camel, pascal := words[0], ""
	for i, w := range words {
		title := strings.ToUpper(w[:1]) + w[1:]
		if pascal += title; i > 0 {
			camel += title
		}
	}
	upper := strings.ToUpper(words[len(words)-1])
	for _, s := range []string{camel, pascal, strings.Join(words, "-"), strings.Join(words, "_"), strings.Join(words, ""), strings.ToUpper(name),
		strings.Join(words[:len(words)-1], "") + upper, strings.TrimSuffix(camel, "Id") + "ID", strings.TrimSuffix(pascal, "Id") + "ID"} {
		if s != name && has(members, s) {
			return s
		}
	}
	return ""
}

package schemas_test

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"accountexport/events"
)

// unseen is what a schema cannot see, and so only the decoder refuses.
type unseen struct {
	is    string // as the package's documentation lists it
	holds func(e events.Event, m events.Message, reason *events.Invalid) bool

	// Messages of the corpus that the schema refuses all the same, for another value
	// in them: the second one of a name, or the tier's id.
	refused []string
}

var onlyTheDecoder = sync.OnceValue(whatOnlyTheDecoderRefuses)

// whatOnlyTheDecoderRefuses is kept minimal by TestHostileMessages: what a schema does
// refuse is not on it, nor what no message of the corpus needs.
func whatOnlyTheDecoderRefuses() []unseen {
	payload := func(words string) func(events.Event, events.Message, *events.Invalid) bool {
		return func(_ events.Event, _ events.Message, r *events.Invalid) bool {
			return (r.Field == "payload" || strings.HasPrefix(r.Field, "data.")) && strings.Contains(r.Found, words)
		}
	}
	edgeOfTime := regexp.MustCompile(`^"(0000|0001|9999)-.*(Z|[+-][0-9:]{5})"$`)
	account := regexp.MustCompile(`^"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"$`)
	tier := regexp.MustCompile(`^"[A-Za-z0-9_-]{1,64}"$`)
	return []unseen{
		{is: "a name twice in one object", holds: payload("duplicate object member name"), refused: []string{"data twice, once in escapes"}},
		{is: "more than 1,000 levels of nesting", holds: payload("1000 levels of nesting")},
		{is: "half a surrogate pair in an escape", holds: payload("surrogate pair")},
		{is: "bytes that are no UTF-8", holds: payload("invalid UTF-8")},
		{is: "an integer that is not spelled in digits only, such as 1.0, 1e2 or -0; in JavaScript 999999999999.999999 too, which is 10^12 there", holds: number(events.KindInteger, events.MaxInteger)},
		{is: "a decimal with an exponent, more than six digits after the point, or a minus before nought, and 10^12 itself; in floating point also what is rounded to it, such as 1000000000000.00001",
			holds: number(events.KindDecimal, 1_000_000_000_000)},
		{is: "an object of more than 65,536 bytes", holds: func(_ events.Event, _ events.Message, r *events.Invalid) bool {
			return strings.HasPrefix(r.Field, "data.") && strings.HasSuffix(r.Found, " bytes") && strings.Contains(r.Want, "65536")
		}},
		{is: "a time that its offset takes out of the years 0001 to 9999", holds: func(_ events.Event, _ events.Message, r *events.Invalid) bool {
			return strings.Contains(r.Want, "RFC 3339") && edgeOfTime.MatchString(r.Found)
		}},
		{is: "a subject that is neither kind, is not the type's, or is another tier's", refused: []string{"a tier with a character that no tier has"}, holds: func(_ events.Event, _ events.Message, r *events.Invalid) bool {
			return r.Field == "subject" || r.Field == "type" && strings.Contains(r.Found, " on ") || strings.HasPrefix(r.Want, "the subject's tier")
		}},
		{is: "a partitionkey that is not the last token of the subject", holds: func(e events.Event, m events.Message, r *events.Invalid) bool {
			key := account
			if strings.HasPrefix(events.ShortType(e.Type), "quota_tier.") {
				key = tier
			}
			return r.Field == "partitionkey" && !isBinary(m) && key.MatchString(r.Found)
		}},
		{is: "headers: a content type of batches, and attributes that are in them", holds: func(_ events.Event, m events.Message, r *events.Invalid) bool {
			return r.Field == "Content-Type" || isBinary(m) && r.Field != "payload" && !strings.HasPrefix(r.Field, "data.") && r.Field != "subject"
		}},
	}
}

// number tells a number that is refused for its spelling alone: as a double, which is
// what a validator may have of it, it is from 0 to the most that the schema allows.
func number(kind events.Kind, most float64) func(events.Event, events.Message, *events.Invalid) bool {
	literal := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	return func(e events.Event, _ events.Message, r *events.Invalid) bool {
		name, ok := strings.CutPrefix(r.Field, "data.")
		i := slices.IndexFunc(events.Fields(e.Type), func(f events.Field) bool { return f.Name == name && f.Kind == kind })
		if !ok || i < 0 || !literal.MatchString(r.Found) {
			return false
		}
		v, err := strconv.ParseFloat(r.Found, 64)
		return err == nil && v >= 0 && v <= most && (kind == events.KindDecimal || v == math.Trunc(v))
	}
}

// isBinary tells a message in binary mode (contract §1).
func isBinary(m events.Message) bool {
	binary := false
	for name, values := range m.Header {
		switch {
		case strings.EqualFold(name, "content-type"):
			for _, v := range values {
				kind, _, _ := strings.Cut(v, ";")
				if strings.EqualFold(strings.TrimSpace(kind), "application/cloudevents+json") {
					return false
				}
			}
		case strings.EqualFold(name, "ce-specversion"):
			binary = true
		}
	}
	return binary
}

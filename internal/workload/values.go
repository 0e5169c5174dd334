package workload

import (
	"fmt"
	"strings"
	"time"
)

// words returns a text of a few words in several scripts.
func (s *source) words() string {
	words := []string{"quick", "blue", "naïve", "zażółć", "λ", "ünï", "日本語", "𝒳", "👩‍🚀", "é", "n°7",
		"<b>&", `"q"`, `\`, "/", "tab\t", "line\nbreak", "\u2028", "\ufffd", "%41", "a\u007fb", "\ufeff"}
	out := words[s.IntN(len(words))]
	for range s.IntN(3) {
		out += " " + words[s.IntN(len(words))]
	}
	return out
}

// textOf returns exactly n characters.
func (s *source) textOf(n int) string { return strings.Repeat(pick(s, "a", "é", "語", "😀"), n) }

// valid returns a value as JSON that the contract accepts. Fields of kinds that refer
// to an account are left to the generator.
func (s *source) valid(f field, clock int64) string {
	if (f.rule == optional || f.rule == nullablePatch) && s.chance(0.2) {
		return "null"
	}
	switch f.kind {
	case text:
		switch {
		case (f.rule == optional || f.rule == nullablePatch) && s.chance(0.1):
			return `""`
		case s.chance(0.01):
			return s.text(s.textOf(1024))
		}
		return s.text(s.words())
	case boolean:
		return pick(s, "true", "false")
	case uuid:
		return s.text(pick(s, s.uuid(), s.uuid(), s.mixedCase(s.uuid())))
	case integer:
		if s.chance(0.05) { // near the limit, so that sums exceed it
			return pick(s, fmt.Sprint(s.Int64N(1<<53)), "9007199254740991", "9007199254740990", "4503599627370496")
		}
		return pick(s, "0", "1", "5", fmt.Sprint(s.IntN(1000)))
	case decimal:
		if s.chance(0.05) {
			return pick(s, "999999999999", "999999999999.999999", "499999999999.5", "0.000001")
		}
		return pick(s, "0", "0.0", "0.1", "0.2", "1", "1.500000", "12.5", "100.250", "0.000001", "3.333333",
			fmt.Sprintf("%d.%0*d", s.IntN(1000), 1+s.IntN(6), s.IntN(10)))
	case timestamp:
		return s.text(s.timeNear(clock))
	case date:
		if s.chance(0.05) {
			return pick(s, `"0001-01-01"`, `"9999-12-31"`, `"2024-02-29"`, `"2000-02-29"`, `"1969-12-31"`, `"0004-02-29"`)
		}
		return fmt.Sprintf(`"2026-%02d-%02d"`, 1+s.IntN(2), 1+s.IntN(6))
	default:
		return s.metadata(3, s.IntN(5))
	}
}

// timeNear returns a time near the clock (microseconds), sometimes far from it.
func (s *source) timeNear(clock int64) string {
	switch {
	case s.chance(0.01):
		return pick(s, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z",
			"1969-12-31T23:59:59.1234567Z", "0000-12-31T23:30:00-01:00", "2024-02-29T00:00:00-00:00",
			"9999-12-31T23:59:59+23:59", "2026-01-01T00:00:00.00000000000000000001Z", "0001-01-01T23:59:00+23:59")
	case s.chance(0.2):
		clock -= s.Int64N(5 * 86400 * 1e6)
	}
	t := time.UnixMicro(clock).UTC()
	zone := "Z"
	if s.chance(0.3) {
		minutes := s.IntN(2*1439+1) - 1439
		t = t.Add(time.Duration(minutes) * time.Minute)
		zone = fmt.Sprintf("+%02d:%02d", minutes/60, minutes%60)
		if minutes < 0 {
			zone = fmt.Sprintf("-%02d:%02d", -minutes/60, -minutes%60)
		}
	}
	layout := pick(s, "2006-01-02T15:04:05", "2006-01-02T15:04:05.000", "2006-01-02T15:04:05.000000",
		"2006-01-02T15:04:05.0", "2006-01-02T15:04:05.000000")
	spelled := t.Format(layout)
	if strings.HasSuffix(layout, ".000000") {
		spelled += strings.Repeat("9", s.IntN(4))
	}
	return spelled + zone
}

// metadata returns an object of n members whose values are nested depth levels deep.
func (s *source) metadata(depth, n int) string {
	names := []string{"labels", "a\u0000b", "", "é", "😀", "owner", "A", "a", "size", "x/y", "__proto__", "id"}
	s.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	members := make([]member, n)
	for i := range members {
		members[i] = member{names[i], s.anything(depth - 1)}
	}
	return s.object(members)
}

// flags returns an abuse_flags change over few keys, so that keys recur.
func (s *source) flags() string {
	names := []string{"spam", "mining", "phish\u0000ing", "é", "", "dm\"ca"}
	s.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var members []member
	for _, n := range names[:s.IntN(4)] {
		members = append(members, member{n, pick(s, "null", "true", `"2026"`, s.anything(2))})
	}
	return s.object(members)
}

// anything returns any JSON value.
func (s *source) anything(depth int) string {
	if depth > 0 && s.chance(0.3) {
		if s.chance(0.5) {
			return s.metadata(depth, s.IntN(3))
		}
		items := make([]string, s.IntN(3))
		for i := range items {
			items[i] = s.anything(depth - 1)
		}
		return s.array(items)
	}
	return pick(s, "null", "true", "false", "0", "-0", "1.0", "1e2", "1E+400", "-12.50", "0.10", "123456789012345678901234567890",
		s.text(s.words()), s.text(s.words()), s.text("nul\u0000"), `""`)
}

// objectOf returns an object of exactly n bytes as sent.
func (s *source) objectOf(n int) string {
	return `{"x":"` + strings.Repeat("y", n-len(`{"x":""}`)) + `"}`
}

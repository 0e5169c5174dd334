package oracle

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The value kinds of contract §1. Each reader returns what is wrong, or an empty string.

const (
	maxInteger    = 1<<53 - 1
	decimalUnits  = 1_000_000             // a decimal is kept in millionths
	maxDecimal    = 1e12*decimalUnits - 1 // less than 10^12
	maxObjectSize = 65_536                // bytes, as sent
)

type patterns struct {
	uuid, integer, decimal, date, time *regexp.Regexp
}

func compilePatterns() patterns {
	return patterns{
		uuid:    regexp.MustCompile(`\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\z`),
		integer: regexp.MustCompile(`\A[0-9]+\z`),
		decimal: regexp.MustCompile(`\A([0-9]+)(?:\.([0-9]{1,6}))?\z`),
		date:    regexp.MustCompile(`\A([0-9]{4})-([0-9]{2})-([0-9]{2})\z`),
		time: regexp.MustCompile(`\A([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})` +
			`(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))\z`),
	}
}

func readText(v *value, minimum, maximum int) (string, string) {
	if v.kind != '"' {
		return "", "not a text"
	}
	n := utf8.RuneCountInString(v.text)
	switch {
	case n < minimum:
		return "", "text too short"
	case n > maximum:
		return "", "text too long"
	case strings.ContainsRune(v.text, 0):
		return "", "U+0000 in a text"
	}
	return v.text, ""
}

func (p patterns) readUUID(v *value) (string, string) {
	if v.kind != '"' || !p.uuid.MatchString(v.text) {
		return "", "not a UUID"
	}
	return strings.ToLower(v.text), ""
}

func (p patterns) readInteger(v *value) (int64, string) {
	if v.kind != '0' || !p.integer.Match(v.raw) {
		return 0, "not an integer"
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err != nil || n > maxInteger {
		return 0, "integer too large"
	}
	return n, ""
}

// readDecimal returns millionths.
func (p patterns) readDecimal(v *value) (int64, string) {
	if v.kind != '0' {
		return 0, "not a decimal"
	}
	m := p.decimal.FindStringSubmatch(string(v.raw))
	if m == nil {
		return 0, "not a decimal"
	}
	if len(m[1]) > 12 { // JSON has no leading zeros, so 10^12 at least
		return 0, "decimal too large"
	}
	n, err := strconv.ParseInt(m[1]+(m[2] + "000000")[:6], 10, 64)
	if err != nil {
		return 0, "decimal too large"
	}
	return n, ""
}

func (p patterns) readDate(v *value) (string, string) {
	if v.kind != '"' {
		return "", "not a date"
	}
	m := p.date.FindStringSubmatch(v.text)
	if m == nil || m[1] == "0000" || !isDay(number(m[1]), number(m[2]), number(m[3])) {
		return "", "not a date"
	}
	return v.text, ""
}

// readTime returns microseconds since 1970, without the digits after them.
func (p patterns) readTime(s string) (int64, string) {
	m := p.time.FindStringSubmatch(s)
	if m == nil {
		return 0, "not a time"
	}
	year, month, day := number(m[1]), number(m[2]), number(m[3])
	hour, minute, second := number(m[4]), number(m[5]), number(m[6])
	offHour, offMinute := number(m[9]), number(m[10])
	if !isDay(year, month, day) || hour > 23 || minute > 59 || second > 59 || offHour > 23 || offMinute > 59 {
		return 0, "not a time"
	}
	offset := int64(offHour*3600 + offMinute*60)
	if m[8] == "-" {
		offset = -offset
	}
	seconds := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix() - offset
	if y := time.Unix(seconds, 0).UTC().Year(); y < 1 || y > 9999 {
		return 0, "year outside 0001 to 9999"
	}
	return seconds*1_000_000 + int64(number((m[7] + "000000")[:6])), ""
}

// number reads digits, and an empty string as 0.
func number(digits string) int {
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n
}

func isDay(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	days := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && (year%4 == 0 && year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return day <= days
}

func readObject(v *value) (*value, string) {
	if v.kind != '{' {
		return nil, "not an object"
	}
	if len(v.raw) > maxObjectSize {
		return nil, "object too large"
	}
	return v, ""
}

func formatTime(micros int64) string {
	seconds, fraction := micros/1_000_000, micros%1_000_000
	if fraction < 0 {
		seconds, fraction = seconds-1, fraction+1_000_000
	}
	t := time.Unix(seconds, 0).UTC()
	s := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second())
	if fraction != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", fraction), "0")
	}
	return s + "Z"
}

func formatDecimal(millionths int64) string {
	s := strconv.FormatInt(millionths/decimalUnits, 10)
	if rest := millionths % decimalUnits; rest != 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%06d", rest), "0")
	}
	return s
}

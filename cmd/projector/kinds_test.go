package main

import (
	"testing"
	"time"
)

// TestTimesAreRFC3339: a time that is given with a call is read to the nanosecond, and
// what Go's time package takes beside RFC 3339 is refused.
func TestTimesAreRFC3339(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2026-03-25T07:11:48Z":               time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC),
		"2026-03-25T07:11:48.123456789Z":     time.Date(2026, 3, 25, 7, 11, 48, 123456789, time.UTC),
		"2026-03-25T09:11:48.5+02:00":        time.Date(2026, 3, 25, 7, 11, 48, 500000000, time.UTC),
		"0001-01-01T00:00:00Z":               {},
		"9999-12-31T23:59:59.999999-00:00":   time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		"0000-12-31T23:00:00-01:00":          {},
		"2026-03-25T07:11:48.000000000000Z":  time.Date(2026, 3, 25, 7, 11, 48, 0, time.UTC),
		"2026-03-25T07:11:48.1234567891234Z": time.Date(2026, 3, 25, 7, 11, 48, 123456789, time.UTC),
	} {
		if got, err := parseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"2026-03-25T7:11:48Z", "2026-03-25T07:11:48,5Z", "2026-03-25T07:11:48.Z", "2026-03-25 07:11:48Z", "2026-03-25T07:11:48z",
		"2026-03-25T07:11:48", "2026-03-25T07:11:60Z", "2026-03-25T24:00:00Z", "2026-02-29T07:11:48Z", "2026-03-25T07:11:48+24:00", "2026-03-25", ""} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}

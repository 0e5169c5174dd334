package events_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"accountexport/events"
)

func TestParseUUID(t *testing.T) {
	const lower = "64c38c41-1961-4698-82a7-af9eab79b005"
	for _, s := range []string{lower, strings.ToUpper(lower), "64C38c41-1961-4698-82A7-af9eab79b005"} {
		id, err := events.ParseUUID(s)
		if err != nil || id.String() != lower {
			t.Errorf("%q is read as %v, %v", s, id, err)
		}
	}
	for _, s := range []string{"", "64c38c41", lower + "0", lower[1:], "{" + lower + "}", "urn:uuid:" + lower,
		strings.ReplaceAll(lower, "-", ""), strings.ReplaceAll(lower, "-", "_"), strings.Replace(lower, "6", "g", 1),
		"64c38c411-961-4698-82a7-af9eab79b005", strings.Replace(lower, "64", "６", 1), " " + lower[1:]} {
		if id, err := events.ParseUUID(s); err == nil {
			t.Errorf("%q is read as %v", s, id)
		}
	}
}

func TestUUIDAsText(t *testing.T) {
	id := mustUUID(t, "00000000-0000-0000-0000-0000000000aF")
	text, err := id.MarshalText()
	if err != nil || string(text) != "00000000-0000-0000-0000-0000000000af" {
		t.Errorf("written as %s, %v", text, err)
	}
	var back events.UUID
	if err := back.UnmarshalText(text); err != nil || back != id {
		t.Errorf("read back as %v, %v", back, err)
	}
	if err := back.UnmarshalText([]byte("x")); err == nil {
		t.Error("x is read as a UUID")
	}
}

// TestTimeAndDecimalAsText: what is written as text is read back, and what the
// contract refuses is not read.
func TestTimeAndDecimalAsText(t *testing.T) {
	g := newGenerator(11)
	for range 500 {
		at, amount := g.time(), g.decimal()
		var atBack events.Time
		text, err := at.MarshalText()
		if err == nil {
			err = atBack.UnmarshalText(text)
		}
		if err != nil || atBack != at {
			t.Fatalf("%v is written as %s and read back as %v, %v", at, text, atBack, err)
		}
		var amountBack events.Decimal
		text, err = amount.MarshalText()
		if err == nil {
			err = amountBack.UnmarshalText(text)
		}
		if err != nil || amountBack != amount {
			t.Fatalf("%v is written as %s and read back as %v, %v", amount, text, amountBack, err)
		}
	}
	if err := new(events.Time).UnmarshalText([]byte("2026-03-25")); err == nil {
		t.Error("a day is read as a time")
	}
	if err := new(events.Decimal).UnmarshalText([]byte("1e2")); err == nil {
		t.Error("an exponent is read in a decimal")
	}
}

func TestParseTime(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"2026-03-25T07:10:47Z", "2026-03-25T07:10:47Z"},
		{"2026-03-25T07:10:47.777Z", "2026-03-25T07:10:47.777Z"},
		{"2026-03-25T07:10:47.100000Z", "2026-03-25T07:10:47.1Z"},
		{"2026-03-25T07:10:47.0Z", "2026-03-25T07:10:47Z"},
		{"2026-03-25T07:10:47.0000009Z", "2026-03-25T07:10:47Z"},
		{"2026-03-25T07:10:47.123456789123456789Z", "2026-03-25T07:10:47.123456Z"},
		{"1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"},
		{"2026-03-25T07:10:47+02:30", "2026-03-25T04:40:47Z"},
		{"2026-03-25T07:10:47-23:59", "2026-03-26T07:09:47Z"},
		{"2026-03-25T07:10:47-00:00", "2026-03-25T07:10:47Z"},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"0000-12-31T23:30:00-01:00", "0001-01-01T00:30:00Z"},
		{"9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"},
	} {
		got, err := events.ParseTime(test.sent)
		if err != nil || got.String() != test.want {
			t.Errorf("%q is read as %v, %v; want %s", test.sent, got, err, test.want)
		}
		if events.TimeOf(got.GoTime()) != got {
			t.Errorf("%q does not survive time.Time", test.sent)
		}
	}
	for _, sent := range []string{"", "2026-03-25", "2026-03-25T07:10:47", "2026-03-25 07:10:47Z", "2026-03-25t07:10:47Z",
		"2026-03-25T07:10:47z", "2026-03-25T7:10:47Z", "2026-3-25T07:10:47Z", "2026-03-25T07:10Z", "2026-03-25T07:10:47,5Z",
		"2026-03-25T07:10:47.Z", "2026-03-25T07:10:47.5", "2026-03-25T07:10:60Z", "2016-12-31T23:59:60Z", "2026-03-25T24:00:00Z",
		"2026-03-25T07:60:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-03-25T07:10:47+24:00", "2026-03-25T07:10:47+02:60",
		"2026-03-25T07:10:47+0230", "2026-03-25T07:10:47+02", "2026-03-25T07:10:47+2:30", "2026-03-25T07:10:47ZZ",
		"2026-03-25T07:10:47Z ", " 2026-03-25T07:10:47Z", "+2026-03-25T07:10:47Z", "02026-03-25T07:10:47Z", "-2026-03-25T07:10:47Z",
		"0000-12-31T23:59:59Z", "0000-06-01T00:00:00+01:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"2026-03-25T07:10:4٧Z", "1774422647"} {
		if got, err := events.ParseTime(sent); err == nil {
			t.Errorf("%q is read as %v", sent, got)
		}
	}
}

// TestTimesAgreeWithTheStandardLibrary goes through random times and offsets,
// written by package time.
func TestTimesAgreeWithTheStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	from := time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)
	to := time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC)
	for range 20_000 {
		at := time.UnixMicro(from.UnixMicro() + random.Int64N(to.UnixMicro()-from.UnixMicro())).UTC()
		sent := at.In(time.FixedZone("", random.IntN(2*24*60-1)*60-86340)).Format(time.RFC3339Nano)
		got, err := events.ParseTime(sent)
		if err != nil || got != events.TimeOf(at) || !got.GoTime().Equal(at) {
			t.Fatalf("%s is read as %v, %v; want %v", sent, got, err, at)
		}
		if want := at.Format(time.RFC3339Nano); got.String() != want {
			t.Fatalf("%s is written as %s, want %s", sent, got, want)
		}
	}
	if got := events.TimeOf(time.Unix(0, -1)); got != -1 {
		t.Errorf("a nanosecond before 1970 is truncated to %d microseconds, want -1", got)
	}
}

func TestParseDate(t *testing.T) {
	for _, s := range []string{"2026-03-25", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"} {
		if got, err := events.ParseDate(s); err != nil || string(got) != s {
			t.Errorf("%q is read as %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2026-3-25", "2026-03-32", "2026-02-29", "2100-02-29", "2026-04-31", "2026-00-10", "2026-13-01",
		"2026-01-00", "0000-01-01", "10000-01-01", "2026/03/25", "20260325", "2026-03-25T00:00:00Z", " 2026-03-25", "2026-03-2٥",
		"-026-03-25", "+026-03-25"} {
		if got, err := events.ParseDate(s); err == nil {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}

func TestParseInteger(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "7": 7, "10": 10, "9007199254740991": events.MaxInteger} {
		if got, err := events.ParseInteger(s); err != nil || got != want {
			t.Errorf("%q is read as %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "-0", "-1", "+1", "1.0", "1e2", "1E2", "00", "01", " 1", "9007199254740992", "9999999999999999",
		"18446744073709551616", "36893488147419103233", strings.Repeat("9", 100), "0x1", "1_000", "٣"} {
		if got, err := events.ParseInteger(s); err == nil {
			t.Errorf("%q is read as %d", s, got)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	for _, test := range []struct{ sent, want string }{
		{"0", "0"}, {"0.0", "0"}, {"0.000000", "0"}, {"0.000001", "0.000001"}, {"0.1", "0.1"}, {"1.50", "1.5"}, {"1.5", "1.5"},
		{"10", "10"}, {"100.010", "100.01"}, {"999999999999", "999999999999"}, {"999999999999.999999", "999999999999.999999"},
	} {
		got, err := events.ParseDecimal(test.sent)
		if err != nil || got.String() != test.want {
			t.Errorf("%q is read as %v, %v; want %s", test.sent, got, err, test.want)
		}
	}
	for _, s := range []string{"", ".", ".5", "1.", "-0", "-1", "+1", "1e2", "1E2", "1.0e1", "00", "01.5", "0.0000001", "1.0000000",
		"1000000000000", "1000000000000.0", "1.5.5", "1,5", " 1", "1 ", "NaN", "Infinity", "0x1", strings.Repeat("1", 1000)} {
		if got, err := events.ParseDecimal(s); err == nil {
			t.Errorf("%q is read as %v", s, got)
		}
	}
	tenth, err := events.ParseDecimal("0.1")
	if err != nil {
		t.Fatal(err)
	}
	var sum events.Decimal
	for range 10 {
		sum += tenth
	}
	if sum.String() != "1" {
		t.Errorf("0.1 ten times is %s", sum)
	}
}

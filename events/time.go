package events

import "time"

// Time is a point in time in microseconds since 1970-01-01T00:00:00Z, within
// the years 0001 to 9999 in UTC.
type Time int64

// TimeOf is the point in time, truncated to the microsecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// GoTime is the point in time in UTC.
func (t Time) GoTime() time.Time { return time.UnixMicro(int64(t)).UTC() }

const wantTime = "an RFC 3339 time with T and Z or an offset, no leap second, years 0001 to 9999 in UTC"

const (
	minTime Time = -62_135_596_800_000_000 // 0001-01-01T00:00:00Z
	maxTime Time = 253_402_300_799_999_999 // 9999-12-31T23:59:59.999999Z
)

// ParseTime reads an RFC 3339 time with upper-case T and Z or an offset,
// truncated to the microsecond. A leap second is refused, and so is what lies
// outside the years 0001 to 9999 in UTC.
func ParseTime(s string) (Time, error) {
	if t, ok := parseTime(s); ok {
		return t, nil
	}
	return 0, &Invalid{Field: "time", Found: quoted(s), Want: wantTime}
}

func parseTime(s string) (Time, bool) {
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	var n [6]int
	for i, part := range [...]string{s[0:4], s[5:7], s[8:10], s[11:13], s[14:16], s[17:19]} {
		var ok bool
		if n[i], ok = digits(part); !ok {
			return 0, false
		}
	}
	// Year 0000 with an offset west of Greenwich can be year 0001 in UTC.
	if y := n[0]; !realDay(y, n[1], n[2]) && !(y == 0 && realDay(400, n[1], n[2])) || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return 0, false
	}
	rest, micros := s[19:], 0
	if rest[0] == '.' {
		i := 1
		for scale := 100_000; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
			micros += int(rest[i]-'0') * scale
			scale /= 10
		}
		if i == 1 {
			return 0, false
		}
		rest = rest[i:]
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return 0, false
	}
	// time.Date does no more here than count days.
	at := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], micros*1000, time.UTC)
	t := TimeOf(at) - Time(offset)*60_000_000
	return t, t >= minTime && t <= maxTime
}

// parseOffset reads Z or an offset, in minutes east of UTC.
func parseOffset(s string) (int, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != 6 || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, ok1 := digits(s[1:3])
	m, ok2 := digits(s[4:6])
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	if s[0] == '-' {
		return -(h*60 + m), true
	}
	return h*60 + m, true
}

// AppendText implements [encoding.TextAppender]: RFC 3339 in UTC with Z, a
// fraction only where it is not zero, and without trailing zeros.
func (t Time) AppendText(b []byte) ([]byte, error) {
	g := t.GoTime()
	y, mo, d := g.Date()
	h, mi, s := g.Clock()
	b = append(b, byte('0'+y/1000), byte('0'+y/100%10))
	b = append(two(b, y%100), '-')
	b = append(two(b, int(mo)), '-')
	b = append(two(b, d), 'T')
	b = append(two(b, h), ':')
	b = append(two(b, mi), ':')
	b = two(b, s)
	if f := g.Nanosecond() / 1000; f != 0 {
		b = appendFraction(b, f)
	}
	return append(b, 'Z'), nil
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// String is the time as it is sent.
func (t Time) String() string {
	b, _ := t.AppendText(nil)
	return string(b)
}

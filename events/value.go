package events

import (
	"encoding/hex"
	"strconv"
)

// UUID is a UUID of any version.
type UUID [16]byte

// Date is a calendar day, as YYYY-MM-DD.
type Date string

// Decimal is an exact non-negative decimal below 10^12, in millionths.
type Decimal int64

// Limits of the contract's values (contract §1).
const (
	MaxInteger = 1<<53 - 1         // the largest Integer
	MaxDecimal = Decimal(1e18 - 1) // the largest Decimal
	MaxText    = 1024              // Unicode characters in a Text
	MaxID      = 128               // Unicode characters in a sandbox's id
	MaxObject  = 65536             // bytes of an Object as sent
	MaxDepth   = 1000              // levels of nesting from the payload's first bracket
)

// ParseUUID reads a UUID of 36 characters, hex digits in either case.
func ParseUUID(s string) (UUID, error) {
	if id, ok := parseUUID(s); ok {
		return id, nil
	}
	return UUID{}, &Invalid{Field: "UUID", Found: quoted(s), Want: wantUUID}
}

func parseUUID[T string | []byte](s T) (id UUID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, false
	}
	at := 0
	for i := 0; i < 36; i += 2 {
		switch i {
		case 8, 13, 18, 23:
			i++
		}
		hi, lo := hexDigit(s[i]), hexDigit(s[i+1])
		if hi > 15 || lo > 15 {
			return UUID{}, false
		}
		id[at] = hi<<4 | lo
		at++
	}
	return id, true
}

const wantUUID = "a UUID of 36 characters, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a"

func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// AppendText implements [encoding.TextAppender]: lower case, 36 characters.
func (id UUID) AppendText(b []byte) ([]byte, error) {
	b = append(hex.AppendEncode(b, id[0:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:16]), nil
}

// String is the UUID in lower case.
func (id UUID) String() string {
	b, _ := id.AppendText(make([]byte, 0, 36))
	return string(b)
}

// MarshalText implements [encoding.TextMarshaler].
func (id UUID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *UUID) UnmarshalText(b []byte) (err error) {
	var ok bool
	if *id, ok = parseUUID(b); !ok {
		_, err = ParseUUID(string(b))
	}
	return err
}

// ParseDate reads a real day of the Gregorian calendar, years 0001 to 9999.
func ParseDate(s string) (Date, error) {
	if len(s) == 10 && s[4] == '-' && s[7] == '-' {
		y, ok1 := digits(s[0:4])
		m, ok2 := digits(s[5:7])
		d, ok3 := digits(s[8:10])
		if ok1 && ok2 && ok3 && realDay(y, m, d) {
			return Date(s), nil
		}
	}
	return "", &Invalid{Field: "date", Found: quoted(s), Want: wantDate}
}

const wantDate = "a real calendar day, YYYY-MM-DD"

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

func realDay(y, m, d int) bool {
	if y < 1 || m < 1 || m > 12 || d < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		days = 29
	}
	return d <= days
}

// ParseInteger reads digits only, 0 to [MaxInteger].
func ParseInteger(s string) (int64, error) {
	if n, ok := digits(s); ok && len(s) <= 16 && n <= MaxInteger && (s[0] != '0' || len(s) == 1) {
		return int64(n), nil
	}
	return 0, &Invalid{Field: "integer", Found: quoted(s), Want: wantInteger}
}

const wantInteger = "an integer of digits only, 0 to 9007199254740991"

// ParseDecimal reads digits, then optionally a point and one to six digits;
// less than 10^12, without sign or exponent.
func ParseDecimal(s string) (Decimal, error) {
	if d, ok := parseDecimal(s); ok {
		return d, nil
	}
	return 0, &Invalid{Field: "decimal", Found: quoted(s), Want: wantDecimal}
}

const wantDecimal = "a decimal below 1000000000000 with at most six digits after the point, without sign or exponent"

func parseDecimal(s string) (Decimal, bool) {
	whole, fraction := s, ""
	for i := range len(s) {
		if s[i] == '.' {
			whole, fraction = s[:i], s[i+1:]
			if len(fraction) == 0 {
				return 0, false
			}
			break
		}
	}
	if len(whole) > 12 || len(fraction) > 6 || (len(whole) > 1 && whole[0] == '0') {
		return 0, false
	}
	w, ok := digits(whole)
	if !ok {
		return 0, false
	}
	f := 0
	if fraction != "" {
		if f, ok = digits(fraction); !ok {
			return 0, false
		}
		for range 6 - len(fraction) {
			f *= 10
		}
	}
	return Decimal(w*1_000_000 + f), true
}

// AppendText implements [encoding.TextAppender]: no exponent, no trailing
// zeros.
func (d Decimal) AppendText(b []byte) ([]byte, error) {
	b = strconv.AppendInt(b, int64(d/1_000_000), 10)
	if f := int(d % 1_000_000); f != 0 {
		b = appendFraction(b, f)
	}
	return b, nil
}

// String is the decimal as it is sent.
func (d Decimal) String() string {
	b, _ := d.AppendText(nil)
	return string(b)
}

// appendFraction appends a point and millionths without trailing zeros.
func appendFraction(b []byte, f int) []byte {
	var s [6]byte
	for i := 5; i >= 0; i-- {
		s[i] = byte('0' + f%10)
		f /= 10
	}
	n := 6
	for s[n-1] == '0' {
		n--
	}
	return append(append(b, '.'), s[:n]...)
}

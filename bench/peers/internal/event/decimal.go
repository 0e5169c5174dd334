package event

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimal is a number in millionths.
type Decimal int64

// UnmarshalJSON reads digits, and at most six behind the point.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	whole, fraction, _ := strings.Cut(string(b), ".")
	if len(fraction) > 6 {
		return fmt.Errorf("%s has more than six digits behind the point", b)
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", 6-len(fraction)), 10, 64)
	*d = Decimal(n)
	return err
}

// String is the number without trailing zeros.
func (d Decimal) String() string {
	text := fmt.Sprintf("%d.%06d", d/1e6, d%1e6)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// MarshalJSON writes a number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

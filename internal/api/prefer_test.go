package api

import (
	"testing"
	"time"
)

// TestPreferredWait: the first preference named wait counts, whatever stands beside
// it, quoted or not.
func TestPreferredWait(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		fields []string
		want   time.Duration
	}{
		{[]string{"wait=5"}, 5 * time.Second},
		{[]string{`respond-async, WAIT="1"`}, time.Second},
		{[]string{"wait=3", "wait=7"}, 3 * time.Second},
		{[]string{"wait = 4;a=b"}, 4 * time.Second},
		{[]string{"wait=3600"}, maxWait},
		{[]string{`note="a, wait=3", wait=2`}, 2 * time.Second},
		{[]string{`note="a\", wait=3", wait=2`}, 2 * time.Second},
		{[]string{`note="a; b", wait=2`}, 2 * time.Second},
		{[]string{"note; wait=9"}, none},
		{[]string{"wait=x, wait=4"}, none},
		{[]string{"wait=-1"}, none},
		{[]string{`wait="1`}, none},
		{[]string{`wait="1,5"`}, none},
		{[]string{"wait"}, none},
		{nil, none},
	} {
		wait, preferred := preferredWait(test.fields)
		if preferred != (test.want != none) || preferred && wait != test.want {
			t.Errorf("%q: %v, %v, want %v", test.fields, wait, preferred, test.want)
		}
	}
}

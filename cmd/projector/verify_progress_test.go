package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestVerifyProgressLines: where there is no terminal, a line is printed at the
// beginning, at most every five seconds, and at the end. It has a rate once an account
// was compared, and the time left while accounts are.
func TestVerifyProgressLines(t *testing.T) {
	var out strings.Builder
	p := newVerifyProgress(&out)
	p.began = p.began.Add(-1000 * time.Second)
	p.at(0, 10_000)
	p.at(1, 10_000) // too early for another line
	p.said = p.said.Add(-5 * time.Second)
	p.at(5000, 10_000)
	p.at(10_001, 10_001)
	p.end(true)
	want := `^0 of 10000 accounts compared
5000 of 10000 accounts compared, 5 a second, time left 16m4\ds
10001 of 10001 accounts compared, 10 a second
$`
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("%s", &out)
	}
}

package events_test

import (
	"bufio"
	"errors"
	"maps"
	"math/big"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/corpus"
)

// FuzzDecode decodes any message. It is accepted, ignored or refused just as a
// second check by the contract's table says, and a reason reads well.
func FuzzDecode(f *testing.F) {
	for _, h := range corpus.Read(f, "testdata/hostile") {
		if len(h.Message.Data) < 4096 {
			f.Add(h.Message.Subject, headerLines(h.Message.Header), h.Message.Data)
		}
	}
	g := newGenerator(7)
	for _, typ := range events.Types() {
		m, _ := g.any(f, typ, g.meta(), g.uuid())
		binary, err := m.Binary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Subject, headerLines(m.Header), m.Data)
		f.Add(binary.Subject, headerLines(binary.Header), binary.Data)
	}
	check := newRecheck()
	f.Fuzz(func(t *testing.T, subject, headers string, data []byte) {
		compareWithRecheck(t, check, events.Message{Subject: subject, Header: parseHeaderLines(headers), Data: data})
	})
}

// compareWithRecheck decodes a message and has it checked a second time.
func compareWithRecheck(t *testing.T, check recheck, m events.Message) verdict {
	t.Helper()
	e, to, err := events.Decode(m)
	got := verdictOf(e, err)
	if want, why := check.judge(m); want != got {
		t.Fatalf("%s (%v), checked again %s (%v)\n%q\n%q\n%q", got, err, want, why, m.Subject, m.Header, m.Data)
	}
	if reason := (*events.Invalid)(nil); err != nil && !errors.As(err, &reason) {
		t.Fatalf("an error of another kind: %v", err)
	} else if err != nil {
		checkReason(t, reason)
	}
	if e.Sound && (e.ID == "" || e.Source == "" || e.Type == "") || to.Kind == events.SubjectUnsound && err == nil {
		t.Fatalf("sound, but %+v to %v", e, to)
	}
	if e.Data != nil && e.Data.Type() != e.Type {
		t.Fatalf("data of type %s in an event of type %s", e.Data.Type(), e.Type)
	}
	return got
}

// headerLines writes headers one a line.
func headerLines(h map[string][]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			b.WriteString(name + ":" + value + "\n")
		}
	}
	return b.String()
}

func parseHeaderLines(s string) map[string][]string {
	h := map[string][]string{}
	lines := bufio.NewScanner(strings.NewReader(s))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			h[name] = append(h[name], textproto.TrimString(value))
		}
	}
	return h
}

// FuzzTime reads any text as a time: what is accepted, package time reads as
// the same, and it is written so that it is read again.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2026-03-25T07:10:47Z", "2026-03-25T07:10:47.123456789+02:30", "0000-12-31T23:59:59-00:01",
		"9999-12-31T23:59:59.9999999Z", "2016-12-31T23:59:60Z", "2026-03-25t07:10:47,5z", "2024-02-30T24:00:00+24:00"} {
		f.Add(s)
	}
	check := newRecheck()
	f.Fuzz(func(t *testing.T, s string) {
		got, err := events.ParseTime(s)
		if (err == nil) != check.isTime(s) {
			t.Fatalf("%q: %v, checked again %v", s, err, check.isTime(s))
		}
		if err != nil {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || want.UnixMicro() != int64(got) {
			t.Fatalf("%q is read as %d, want %d, %v", s, got, want.UnixMicro(), err)
		}
		if again, err := events.ParseTime(got.String()); err != nil || again != got {
			t.Fatalf("%q is written as %s and read back as %v, %v", s, got, again, err)
		}
	})
}

// FuzzDecimal reads any text as a decimal: what is accepted is exact, and is
// written so that it is read again.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "0.1", "1.50", "999999999999.999999", "1e2", "-0", "1.0000000", "1000000000000", "00"} {
		f.Add(s)
	}
	check := newRecheck()
	f.Fuzz(func(t *testing.T, s string) {
		got, err := events.ParseDecimal(s)
		if (err == nil) != check.decimal.MatchString(s) {
			t.Fatalf("%q: %v", s, err)
		}
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || want.Cmp(big.NewRat(int64(got), 1_000_000)) != 0 {
			t.Fatalf("%q is read as %v", s, got)
		}
		written := got.String()
		if again, err := events.ParseDecimal(written); err != nil || again != got || len(written) > len(s) {
			t.Fatalf("%q is written as %s and read back as %v, %v", s, written, again, err)
		}
	})
}

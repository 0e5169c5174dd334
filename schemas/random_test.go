package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
)

// TestRandomEvents holds random events, half of them with something wrong, against
// their schemas, by two validators: what is accepted is accepted by both; what is
// refused is refused by both, or on the list of what only the decoder refuses.
func TestRandomEvents(t *testing.T) {
	t.Parallel()
	validator := newAjv(t)
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		g := workload.New(seed, workload.Config{HostileShare: 0.5, ErasureShare: 0.01, LargeShare: 0.005})
		const atOnce = 20_000
		accepted, refused, listed := 0, 0, map[string]int{}
		for range testrun.AtLength(20_000, 500_000) / atOnce {
			var all []judged
			var texts []text
			for len(all) < atOnce {
				m := g.Next()
				j := judge(t, events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data})
				if !j.seen() || j.expect(true) == "" && j.expect(false) == "" && j.reason == nil {
					continue // no schema judges it
				}
				all, texts = append(all, j), append(texts, j.text)
			}
			plain, formats := validator.accepts(t, texts)
			for i, j := range all {
				err := inGo(t, j.text)
				says := map[string]bool{"the validator in Go": err == nil, "ajv": plain[i], "ajv that judges formats": formats[i]}
				for name, ok := range says {
					if wrong := j.expect(ok); wrong != "" {
						t.Fatalf("%s: %s: %v\n%s %v\n%q", name, wrong, err, j.message.Subject, j.message.Header, j.message.Data)
					}
				}
				switch {
				case j.reason == nil:
					accepted++
				case err == nil:
					listed[j.reads[0].is]++
				default:
					refused++
				}
			}
		}
		t.Logf("%d accepted, %d refused, on the list %v", accepted, refused, listed)
		if accepted < 5000 || refused < 1000 || len(listed) < 8 {
			t.Error("the events are too much alike to show anything")
		}
	})
}

// TestTheListIsDocumented: the package's documentation says what only the decoder,
// and what only the fold refuses, and nothing else.
func TestTheListIsDocumented(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(".", "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for item := range strings.SplitSeq(string(b), "\n//   - ") {
		item, _, _ = strings.Cut(item, "\n//\n")
		item, _, _ = strings.Cut(item, "\npackage")
		said[strings.Join(strings.Fields(strings.ReplaceAll(item, "\n//", " ")), " ")] = true
	}
	list := 0
	for _, u := range onlyTheDecoder() {
		list++
		if !said[u.is] {
			t.Errorf("doc.go does not say: %s", u.is)
		}
	}
	for _, u := range whatOnlyTheFoldRefuses() {
		list++
		if !said[u.is] {
			t.Errorf("doc.go does not say: %s", u.is)
		}
	}
	if len(said) != list+1 { // what stands in front of the first is one, too
		t.Errorf("doc.go says %d things, and there are %d", len(said)-1, list)
	}
}

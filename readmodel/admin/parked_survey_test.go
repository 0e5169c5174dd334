package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestSurveyCountsEverything: a survey counts each message once, in its group and in its
// interval, whatever the types are and however long they took; what it does not tell apart
// is counted, and filters hold.
func TestSurveyCountsEverything(t *testing.T) {
	t.Parallel()
	const n = 2000
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	badDeploy(t, pool, n)
	c, err := admin.SelectParked(t.Context(), pool, admin.ParkedFilter{To: 100})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := c.Dismiss(t.Context(), pool, "seen", false); done != 100 || err != nil || len(c.Changed) != 100 {
		t.Fatal(done, len(c.Changed), err)
	}
	survey := func(f admin.ParkedFilter, first int) admin.ParkedSurvey {
		t.Helper()
		s, err := admin.SurveyParked(t.Context(), pool, f, first, nil)
		if err != nil {
			t.Fatal(err)
		}
		messages, dismissed, intervals := s.Further.Messages, s.Further.Dismissed, s.Further.Intervals
		for _, g := range s.Groups {
			messages += g.Messages
			dismissed += g.Dismissed
			for i, m := range g.Intervals {
				intervals[i] += m
			}
		}
		sum := int64(0)
		for _, m := range s.Intervals {
			sum += int64(m)
		}
		if messages != s.Messages || dismissed != s.Dismissed || intervals != s.Intervals || sum != s.Messages {
			t.Errorf("%+v: %d messages, %d in groups, %d in intervals; %d dismissed, %d in groups", f, s.Messages, messages, sum, s.Dismissed, dismissed)
		}
		return s
	}
	all := survey(admin.ParkedFilter{}, 7)
	if all.Messages != n+n/10 || all.Dismissed != 100 || all.Accounts != n/10 || len(all.Groups) != 2 || len(all.First) != 7 || all.Top != n+n/10 {
		t.Fatalf("all: %+v", all.ParkedFigures)
	}
	if g := all.Groups[0]; g.Reason != "data.id: found a number, want a text" || g.Type != "sandbox.started.v1" || g.Messages != n || g.Accounts != n/10 || g.Lowest != 1 || g.Top != n {
		t.Errorf("the first group: %+v", g)
	}
	if all.First[0].DismissedAt == nil || all.First[0].Note != "seen" {
		t.Errorf("the first message: %+v", all.First[0])
	}
	// A day lies between the two groups: intervals of 34 minutes.
	if all.Width != 2048*time.Second || all.Intervals[0] != n || all.Intervals[42] != n/10 {
		t.Errorf("intervals of %v from %v: %v", all.Width, all.Begin, all.Intervals)
	}
	id := events.UUID{15: 1}
	for f, want := range map[admin.ParkedFilter]int64{
		{Dismissed: true}: 100, {Type: "user.restored.v1"}: n / 10, {Reason: "hunter2"}: 0, {Reason: "FOUND A TEXT"}: n / 10,
		{From: 7, To: 9}: 3, {Since: readmodeltest.Noon.Add(24 * time.Hour)}: n / 10, {Account: &id}: 11,
	} {
		if got := survey(f, 0); got.Messages != want {
			t.Errorf("%+v: %d, want %d", f, got.Messages, want)
		}
	}

	// Page by page, in each of the ways that pages are read.
	for _, f := range []admin.ParkedFilter{{}, {Dismissed: true}, {Reason: "found a number"}, {From: 3, To: 2100}} {
		var positions []uint64
		for after, more := uint64(0), true; more; {
			page, looked, further, err := admin.ParkedAfter(t.Context(), pool, f, after, 50)
			if err != nil || len(page) > 50 {
				t.Fatal(len(page), err)
			}
			for _, p := range page {
				positions = append(positions, p.Position)
			}
			if more = further; more && looked <= after {
				t.Fatalf("the page after %d ends at %d", after, looked)
			}
			after = looked
		}
		if want := survey(f, 0); int64(len(positions)) != want.Messages || positions[0] != want.Lowest || positions[len(positions)-1] != want.Top {
			t.Errorf("%+v: %d messages page by page, want %d", f, len(positions), want.Messages)
		}
	}

	// Whoever sends messages may make up a type for each.
	readmodeltest.Exec(t, pool, fmt.Sprintf(`UPDATE export_g1.parked SET type = '%s' || position`, strings.Repeat("t", 50)))
	if many := survey(admin.ParkedFilter{}, 0); len(many.Groups) != 1000 || many.Further.Messages != n+n/10-1000 {
		t.Errorf("%d groups, and %d further messages", len(many.Groups), many.Further.Messages)
	}
}

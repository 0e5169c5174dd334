package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// TestPlotHasGaps: what was not looked at is not drawn, samples that are close are one, and
// nothing is left of the plot's beginning.
func TestPlotHasGaps(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var samples []sample
	for _, ago := range []int{800, 799, 798, 790, 400, 100, 95, 90, 0} {
		samples = append(samples, sample{At: now.Add(-time.Duration(ago) * time.Second), Lag: uint64(ago)})
	}
	got := plotOf(samples, now, "lag", func(s sample) float64 { return float64(s.Lag) })
	want := &plot{Name: "lag", Most: 800, Since: 800 * time.Second,
		Lines: []plotLine{"100,2.0 110,3.2", "800,86.0 805,86.6 810,87.2"}, Dots: []plotLine{"500,50.0", "900,98.0"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if p := plotOf(nil, now, "lag", nil); p.Lines != nil || p.Since != 0 {
		t.Errorf("of nothing: %+v", p)
	}
}

// TestOutcomesAreOfTheLastQuarter: what replicas have counted before the first look is left
// out, and what was counted longer ago than a quarter of an hour; a replica that has begun
// since is counted whole, and one that is gone keeps what it has counted: where it comes
// back, with a row of its own that has nothing at first, only what is new is counted.
func TestOutcomesAreOfTheLastQuarter(t *testing.T) {
	applied, parked := projections.TypeOutcome{Type: "sandbox.created.v1", Outcome: projections.Applied},
		projections.TypeOutcome{Type: "team.updated.v1", Outcome: projections.Parked}
	began := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	member := func(name string, joined int, counts map[projections.TypeOutcome]int64) admin.Member {
		return admin.Member{Name: name, JoinedAt: at(joined), Outcomes: counts}
	}
	type counts = map[projections.TypeOutcome]int64
	o := &outcomes{}
	o.add(at(0), []admin.Member{member("a", -9, counts{applied: 1000}), member("old", -9, nil)})
	o.add(at(1), []admin.Member{member("a", -9, counts{applied: 1010}), member("old", -9, counts{applied: 500})})
	o.add(at(10), []admin.Member{member("a", -9, counts{applied: 1010, parked: 3}), member("b", 9, counts{applied: 7})})
	o.add(at(11), []admin.Member{member("b", 9, counts{applied: 12})})
	got := o.recent(at(12))
	want := recentOutcomes{Seconds: 720, Outcomes: []string{"applied", "duplicate", "deferred", "ignored", "parked"},
		Types: []typeCounts{{"sandbox.created.v1", []int64{22, 0, 0, 0, 0}, 22}, {"team.updated.v1", []int64{0, 0, 0, 0, 3}, 3}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	o.add(at(13), []admin.Member{member("a", 13, nil), member("b", 9, counts{applied: 12})})
	o.add(at(13), []admin.Member{member("a", 13, counts{applied: 1011, parked: 3}), member("b", 9, counts{applied: 12})})
	if back := o.recent(at(13)); back.Types[0].All != 23 || back.Types[1].All != 3 {
		t.Errorf("a replica that has come back: %+v", back)
	}
	if later := o.recent(at(24)); later.Seconds != 900 || later.Types[0].All != 13 {
		t.Errorf("later: %+v", later)
	}
}

// TestOverviewNamesWhatMendsIt: what needs attention stands first, with its command, its
// screen, and where acting is allowed its button, which mends it.
func TestOverviewNamesWhatMendsIt(t *testing.T) {
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	account := events.UUID{7}
	s.publish(t, events.Message{Subject: "controlplane.account." + account.String(), Data: []byte("no event")}, nil)
	if v := s.act(t, "pause", map[string]string{"note": "<b>a disk</b>"}, http.StatusOK); v.Failed != "" {
		t.Fatal(v.Failed)
	}
	var v overviewView
	for !slices.ContainsFunc(v.Findings, func(f findingView) bool { return f.What == "paused" }) {
		s.getJSON(t, "/api/overview", &v)
	}
	if !slices.ContainsFunc(v.Findings, func(f findingView) bool { return f.What == "parked" && f.Link == "/parked" }) {
		t.Errorf("findings: %+v", v.Findings)
	}
	page := s.get(t, "/", http.StatusOK)
	for _, want := range []string{"projector resume", "&lt;b&gt;a disk", `action="/acts/resume"`, "projector parked list"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
	s.act(t, "resume", nil, http.StatusOK)
	for slices.ContainsFunc(v.Findings, func(f findingView) bool { return f.What == "paused" }) {
		v = overviewView{}
		s.getJSON(t, "/api/overview", &v)
	}
}

// TestOverviewReadsLittle: twenty pages that are opened in one second cost the looks of that
// second, and no look reads the accounts.
func TestOverviewReadsLittle(t *testing.T) {
	s := newStack(t)
	scans := func() (n int64) {
		if err := s.pool.QueryRow(t.Context(), `SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'account_export%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	s.get(t, "/", http.StatusOK)
	before := scans()
	s.count.taken()
	began := time.Now()
	for range 20 {
		s.get(t, "/", http.StatusOK)
	}
	looks := 0
	all := s.count.taken()
	for _, statement := range all {
		if strings.Contains(statement, "export.members m") {
			looks++
		}
	}
	t.Logf("%d statements of %d looks in %v", len(all), looks, time.Since(began))
	if most := int(time.Since(began)/lookEvery) + 1; looks > most {
		t.Errorf("%d looks for twenty pages in %v, want %d at most", looks, time.Since(began), most)
	}
	if now := scans(); now != before {
		t.Errorf("%d scans of tables of accounts", now-before)
	}
	s.count.taken()
	s.c.hub.lookOnce(t.Context())
	if all := s.count.taken(); len(all) > mostOfALook {
		t.Errorf("a look has taken %d statements, want %d at most:\n%s", len(all), mostOfALook, strings.Join(all, "\n\n"))
	}
}

// mostOfALook is the most statements of one look, which all pages share: five of a snapshot,
// and four that compare the stream with what was folded.
const mostOfALook = 9

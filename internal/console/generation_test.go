package console

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestRebuildIsWatchedComparedAndCutOver: a rebuild that was begun here moves in the page of
// generations while it builds, ends with a comparison, changes nothing that is served, and is
// made the live one by an act of its own. After that it can be gone back from, and what is not
// needed be dropped.
func TestRebuildIsWatchedComparedAndCutOver(t *testing.T) {
	t.Parallel()
	s := newStack(t, withRebuilds)
	all := s.accounts(t, 30)
	begun := s.begin(t, "rebuild", map[string]string{"max_rate": "100"})
	s.fragments(t, "generations", "the building one moves", func(html string) bool {
		return strings.Contains(html, "Generation 2 is being built") || strings.Contains(html, "Generation 2 is built")
	})
	done := s.ended(t, begun.ID)
	if done.Failed != "" {
		t.Fatalf("the rebuild: %s", done.Failed)
	}
	if c := compared(t, done); c.Refused != "" || c.Compared != 30 || c.Different != 0 {
		t.Errorf("compared: %+v", c)
	}
	var v generationsView
	s.getJSON(t, "/api/generations", &v)
	if len(v.Generations) != 2 || v.Generations[0].State != "live" || v.Generations[1].State != "building" {
		t.Fatalf("before the cut-over: %+v", v)
	}
	s.act(t, "cutover", map[string]string{"generation": "2"}, http.StatusBadRequest)
	before := s.c.lastLook()
	reads := s.readAlways(t, all[7])
	if v := s.act(t, "cutover", map[string]string{"generation": "2", "confirm": "2"}, http.StatusOK); v.Failed != "" {
		t.Fatalf("the cut-over: %+v", v)
	}
	s.getJSON(t, "/api/generations", &v)
	if v.Generations[0].State != "retired" || v.Generations[1].State != "live" {
		t.Fatalf("after the cut-over: %+v", v)
	}
	s.c.hub.mu.Lock()
	s.c.hub.last = before // as where nobody has looked since
	s.c.hub.mu.Unlock()
	if g, _, err := s.c.accounts.notes(t.Context(), all[7], 1); err != nil || g.Number != 2 {
		t.Errorf("an account's page is of generation %d, which is not live any more: %v", g.Number, err)
	}
	s.act(t, "cutover", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	if v := s.act(t, "rollback", map[string]string{"generation": "1", "confirm": "1"}, http.StatusOK); v.Failed != "" {
		t.Fatalf("the roll-back: %+v", v)
	}
	if n := reads(); n == 0 {
		t.Error("nothing was read meanwhile")
	}
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "1"}, http.StatusBadRequest)
	if v := s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusOK); v.Failed != "" || v.Back != "/generations" { // the generation's own page is gone
		t.Fatalf("dropping: %+v", v)
	}
	v = generationsView{}
	s.getJSON(t, "/api/generations", &v)
	if len(v.Generations) != 1 || v.Generations[0].Number != 1 || v.Generations[0].State != "live" {
		t.Errorf("at the end: %+v", v)
	}
	var lines string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(what || ', ' || detail || ': ' || outcome, '; ' ORDER BY id) FROM export.audit WHERE who = 'tester'`).Scan(&lines); err != nil {
		t.Fatal(err)
	}
	if want := "rebuild, a new generation beside generation 1: done; cutover, generation 2: done; rollback, generation 1: done; generation.drop, generation 2: done"; lines != want {
		t.Errorf("the audit has %q, want %q", lines, want)
	}
}

// TestRebuildElsewhereMovesInThePage: a rebuild of another process moves in the page, with its
// rate; while it runs its generation cannot be dropped, and a rebuild that is begun here waits
// for it, and goes on with what it has built.
func TestRebuildElsewhereMovesInThePage(t *testing.T) {
	t.Parallel()
	s := newStack(t, withRebuilds)
	s.backlog(t, 2500)
	stop := s.rebuildElsewhere(t, 60)
	folded := regexp.MustCompile(`Folded</dt><dd>(\d+) of`)
	seen := map[string]bool{}
	s.fragments(t, "generations", "it has moved twice, with a rate", func(html string) bool {
		if at := folded.FindStringSubmatch(html); at != nil {
			seen[at[1]] = true
		}
		return len(seen) > 2 && strings.Contains(html, "at work") && strings.Contains(html, " a second") && strings.Contains(html, "running elsewhere")
	})
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	begun := s.begin(t, "rebuild", nil)
	s.fragments(t, "job:"+begun.ID, "it says for what it waits", func(html string) bool {
		return strings.Contains(html, "is running elsewhere: this one goes on when that has ended")
	})
	if err := stop(); err == nil {
		t.Error("the other one had done its work already")
	}
	if v := s.ended(t, begun.ID); v.Failed != "" || compared(t, v).Generation != 2 {
		t.Errorf("going on with it: %+v", v)
	}
}

// TestRebuildIsEndedAndBegunAgain: two who ask for a rebuild get the same one, nothing else is
// done with generations meanwhile, and it can be ended in the middle: the live generation stays
// as it is, and the next rebuild completes what was begun. While projecting is paused none begins.
func TestRebuildIsEndedAndBegunAgain(t *testing.T) {
	t.Parallel()
	s := newStack(t, withRebuilds)
	s.backlog(t, 1500)
	var asked [2]jobView
	var both sync.WaitGroup
	for i := range asked {
		both.Go(func() {
			if err := s.tryAct("rebuild", map[string]string{"max_rate": "20"}, &asked[i]); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	begun := asked[0]
	if asked[1].ID != begun.ID || begun.ID == "" {
		t.Fatalf("two were begun, or none: %+v", asked)
	}
	s.fragments(t, "job:"+begun.ID, "it is under way, and can be ended", func(html string) bool {
		return strings.Contains(html, "<progress") && strings.Contains(html, `action="/acts/rebuild-end"`)
	})
	for _, other := range []string{"compare", "cutover", "rollback", "generation-drop"} {
		s.act(t, other, map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	}
	if v := s.act(t, "rebuild-end", map[string]string{"job": begun.ID}, http.StatusOK); v.Failed != "" {
		t.Errorf("ending it: %+v", v)
	}
	if v := s.ended(t, begun.ID); !strings.Contains(v.Failed, "ended by hand") || v.MayEnd {
		t.Errorf("ended: %+v", v)
	}
	s.act(t, "rebuild-end", map[string]string{"job": begun.ID}, http.StatusConflict)
	var v generationsView
	if s.getJSON(t, "/api/generations", &v); len(v.Generations) != 2 || v.Generations[0].State != "live" || v.Building == nil || v.Running || v.Building.Ready {
		t.Fatalf("after it was ended: %+v", v)
	}
	s.fragments(t, "generation:2", "it counts as abandoned", func(html string) bool {
		return strings.Contains(html, "abandoned") && strings.Contains(html, "<code>projector rebuild</code>") && strings.Contains(html, "<code>projector generations drop 2</code>")
	})
	s.act(t, "pause", nil, http.StatusOK)
	for _, name := range []string{"rebuild", "compare", "cutover", "rollback"} {
		s.act(t, name, map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	}
	if page := s.get(t, "/generations", http.StatusOK); !strings.Contains(page, "Projecting is paused") {
		t.Errorf("the page does not say that projecting is paused: %s", page)
	}
	s.act(t, "resume", nil, http.StatusOK)
	if v := s.ended(t, s.begin(t, "rebuild", nil).ID); v.Failed != "" || compared(t, v).Generation != 2 {
		t.Errorf("the next rebuild: %+v", v)
	}
	s.generationScreensReadLittle(t)
	if v := s.ended(t, s.begin(t, "rebuild", map[string]string{"restart": "yes"}).ID); v.Failed != "" || compared(t, v).Generation != 3 {
		t.Errorf("begun anew: %+v", v)
	}
	v = generationsView{}
	if s.getJSON(t, "/api/generations", &v); len(v.Generations) != 3 || v.Generations[1].State != "failed" || !slices.Equal(v.Generations[1].May, []string{"drop"}) {
		t.Errorf("after it was begun anew: %+v", v)
	}
}

// generationScreensReadLittle: no screen of generations takes more than five statements,
// beside the looks that all pages share.
func (s *stack) generationScreensReadLittle(t *testing.T) {
	t.Helper()
	var account string
	if err := s.pool.QueryRow(t.Context(), `SELECT account_id FROM export_g1.account_export LIMIT 1`).Scan(&account); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/generations", "/generations/2", "/generations/2/accounts/" + account} {
		fewest := 1000
		for range 20 { // a look may come between, but not always
			s.count.taken()
			s.get(t, path, http.StatusOK)
			fewest = min(fewest, len(s.count.taken()))
		}
		if fewest == 0 || fewest > 5 {
			t.Errorf("%s takes %d statements, want one to five", path, fewest)
		}
	}
}

// TestGenerationsAreOnlyShownWithoutRights: the server refuses every act on generations, and the
// page has no button for them but the commands.
func TestGenerationsAreOnlyShownWithoutRights(t *testing.T) {
	t.Parallel()
	s := newStack(t, withRebuilds, func(c *Config) { c.AllowActs = false })
	for _, a := range generationActs() {
		s.act(t, a.name, map[string]string{"generation": "1", "confirm": "1"}, http.StatusForbidden)
	}
	page := s.get(t, "/generations", http.StatusOK)
	if strings.Contains(page, "/acts/") || !strings.Contains(page, "<code>projector rebuild --cutover=manual</code>") || !strings.Contains(page, "--allow-acts") {
		t.Errorf("the page: %s", page)
	}
	s.get(t, "/generations/7", http.StatusNotFound)
}

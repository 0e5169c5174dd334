package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestRebuildIsWatchedComparedAndCutOver: a rebuild that was begun here moves in the page of
// generations while it builds, ends with a comparison, changes nothing that is served, and is
// made the live one by an act of its own. After that it can be gone back from, and what is not
// needed be dropped.
func TestRebuildIsWatchedComparedAndCutOver(t *testing.T) {
	s := newStack(t, withRebuilds)
	s.accounts(t, 30)
	begun := s.begin(t, "rebuild", map[string]string{"max_rate": "40"})
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
	if v := s.act(t, "cutover", map[string]string{"generation": "2", "confirm": "2"}, http.StatusOK); v.Failed != "" {
		t.Fatalf("the cut-over: %+v", v)
	}
	s.getJSON(t, "/api/generations", &v)
	if v.Generations[0].State != "retired" || v.Generations[1].State != "live" {
		t.Fatalf("after the cut-over: %+v", v)
	}
	s.act(t, "cutover", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	if v := s.act(t, "rollback", map[string]string{"generation": "1", "confirm": "1"}, http.StatusOK); v.Failed != "" {
		t.Fatalf("the roll-back: %+v", v)
	}
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "1"}, http.StatusBadRequest)
	if v := s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusOK); v.Failed != "" {
		t.Fatalf("dropping: %+v", v)
	}
	v = generationsView{}
	s.getJSON(t, "/api/generations", &v)
	if len(v.Generations) != 1 || v.Generations[0].Number != 1 || v.Generations[0].State != "live" {
		t.Errorf("at the end: %+v", v)
	}
}

// TestRebuildElsewhereMovesInThePage: a rebuild of another process moves in the page, with its
// rate; while it runs its generation cannot be dropped; and once it has been ended the page
// says that nobody builds it, and a rebuild that is begun here goes on with it.
func TestRebuildElsewhereMovesInThePage(t *testing.T) {
	s := newStack(t, withRebuilds)
	s.backlog(t, 2500)
	stop := s.rebuildElsewhere(t, 200)
	folded := regexp.MustCompile(`Folded</dt><dd>(\d+) of`)
	seen := map[string]bool{}
	s.fragments(t, "generations", "it has moved twice, with a rate", func(html string) bool {
		if at := folded.FindStringSubmatch(html); at != nil {
			seen[at[1]] = true
		}
		return len(seen) > 2 && strings.Contains(html, "at work") && strings.Contains(html, " a second") && strings.Contains(html, "running elsewhere")
	})
	s.act(t, "generation-drop", map[string]string{"generation": "2", "confirm": "2"}, http.StatusConflict)
	_ = stop() // it was ended before it was done
	s.fragments(t, "generation:2", "it counts as abandoned", func(html string) bool {
		return strings.Contains(html, "abandoned") && strings.Contains(html, "<code>projector rebuild</code>") && strings.Contains(html, "<code>projector generations drop 2</code>")
	})
	begun := s.begin(t, "rebuild", nil)
	if v := s.ended(t, begun.ID); v.Failed != "" || compared(t, v).Generation != 2 {
		t.Errorf("going on with it: %+v", v)
	}
}

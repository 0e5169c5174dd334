package console

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// noteFlag is the note of a command that is shown.
const noteFlag = ` --note "why"`

// parkedConfirmView asks whether something is to be done with all messages that a filter
// selects. What is parked after it was shown is left out: the filter ends at the last
// position that it counts.
type parkedConfirmView struct {
	At      time.Time         `json:"at"`
	Act     string            `json:"act"`
	Filter  parkedFields      `json:"filter"`
	Count   int64             `json:"count"`  // how many it would change, or retry
	As      int64             `json:"as_are"` // how many are selected and are so already
	Figures parkedFigures     `json:"figures"`
	Groups  []parkedGroupView `json:"groups"`
	Further int               `json:"further_groups"`
	Command string            `json:"command"`
	Back    string            `json:"back"`
	MayAct  bool              `json:"may_act"`
	words   parkedWords
}

func (v *parkedConfirmView) Part() string      { return "confirm" }
func (v *parkedConfirmView) pageTitle() string { return v.words.title }

// Button, Does and NoteRight are its words.
func (v *parkedConfirmView) Button() string    { return v.words.button(v.Count) }
func (v *parkedConfirmView) Does() string      { return v.words.does }
func (v *parkedConfirmView) NoteRight() string { return v.words.note }

// parkedConfirm is the page before an act on more than one message.
func (c *Console) parkedConfirm(r *http.Request) (any, error) {
	name := mux.Vars(r)["act"]
	words, ok := parkedWordsOf(name)
	if !ok {
		return nil, notThere("There is no such act", "With parked messages one can `retry`, `dismiss` and `undismiss`.")
	}
	f, err := readParkedFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	f.Dismissed = false
	if err := c.recorder(userOf(r)).Look(r.Context(), acts.ParkedViewed, f.Account, "groups"); err != nil {
		return nil, err
	}
	s, err := admin.SurveyParked(r.Context(), c.cfg.Pool, f.ParkedFilter, 0, c.cfg.Privacy.parkedType)
	if err != nil {
		return nil, err
	}
	if s.Messages == 0 {
		return nil, noneParked(&f)
	}
	back := parkedLink(&f, 0)
	shown := c.parkedView(f, &s, time.Now())
	f.To = s.Top
	v := &parkedConfirmView{At: shown.At, Act: words.act, Filter: f.fields(), Figures: *shown.Figures, Groups: shown.Groups,
		Further: shown.Further.Groups, Command: f.command(name, words.flags), Back: back, MayAct: c.cfg.AllowActs, words: words}
	v.Count = words.concerns(s.Messages, s.Dismissed)
	v.As = s.Messages - v.Count
	return v, nil
}

// noneParked is the failure of a filter that selects nothing.
func noneParked(f *parkedFilter) error {
	if !f.selects() {
		return notThere("No message is parked", "There is nothing to do.")
	}
	return notThere("No parked message is meant", "None matches the filter any more. The page Parked shows what is parked.")
}

// parkedChoices is what can be done with all that a filter selects, and by which commands.
func parkedChoices(f parkedFilter, s *admin.ParkedSurvey) []parkedChoice {
	f.Dismissed = false
	all := []parkedChoice{}
	for _, name := range []string{"retry", "dismiss", "undismiss"} {
		words, _ := parkedWordsOf(name)
		n := words.concerns(s.Messages, s.Dismissed)
		if n == 0 {
			continue
		}
		bounded := f
		bounded.To = s.Top
		all = append(all, parkedChoice{Act: words.act, Label: words.button(n), Command: bounded.command(name, words.flags),
			Page: (&url.URL{Path: "/parked/confirm/" + name, RawQuery: f.values().Encode()}).String()})
	}
	return all
}

// parkedWords are the words for an act.
type parkedWords struct {
	act, title string
	verb       string // before the number
	does       string // what it does
	note       string // what a note may look like; empty where there is none
	flags      string // of the command
	concerns   func(all, dismissed int64) int64
}

func (w *parkedWords) button(n int64) string {
	return fmt.Sprintf(w.verb, plural(n, "message", "messages"))
}

func parkedWordsOf(name string) (parkedWords, bool) {
	switch name {
	case "retry":
		return parkedWords{act: "parked-retry", title: "Retry parked messages", verb: "Retry %s",
			does: "The accounts and tiers of these messages are folded anew by this program. The fold is pure: messages that this program does not accept " +
				"stay parked, and nothing changes.",
			concerns: func(all, _ int64) int64 { return all }}, true
	case "dismiss":
		return parkedWords{act: "parked-dismiss", title: "Dismiss parked messages", verb: "Dismiss %s",
			does: "These messages no longer count. They stay on record with the note, in every generation. Documents do not change. It can be undone.",
			note: "why, such as: published again at 1234", flags: noteFlag + " --yes",
			concerns: func(all, dismissed int64) int64 { return all - dismissed }}, true
	case "undismiss":
		return parkedWords{act: "parked-undismiss", title: "Have dismissed messages count again", verb: "Have %s count again",
			does: "These messages count again. Their dismissals stay on record with both notes. It can be undone.",
			note: "why, such as: it was another event", flags: noteFlag + " --yes",
			concerns: func(_, dismissed int64) int64 { return dismissed }}, true
	}
	return parkedWords{}, false
}

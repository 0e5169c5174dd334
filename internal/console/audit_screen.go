package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
	"accountexport/readmodel/admin"
)

// auditPage is how many lines a page shows.
const auditPage = 100

// routeAudit adds the screen of the audit.
func (c *Console) routeAudit(m *mux.Router) { c.screen(m, "/audit", "audit", c.audit) }

// auditView is a page of the audit.
type auditView struct {
	Lines  []auditLine `json:"lines"`
	Filter auditAsked  `json:"filter"`
	Next   string      `json:"next"` // the next page's query; empty: this is the last
	First  string      `json:"-"`    // the first page's query; empty: this is it
	Begun  bool        `json:"-"`    // a line says so
	Words  []auditWord `json:"-"`
	Any    bool        `json:"-"` // the lines are filtered
}

// auditAsked is which lines were asked for, as it was written.
type auditAsked struct {
	Account string `json:"account"`
	Who     string `json:"who"`
	What    string `json:"what"`
	Since   string `json:"since"`
}

// auditLine is who looked at whom, or did what.
type auditLine struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Through string    `json:"through"`
	What    string    `json:"what"`
	Words   string    `json:"words"`
	Account *string   `json:"account"` // null: of no one account, or of one that was erased
	Detail  string    `json:"detail"`
	Outcome string    `json:"outcome"`
}

// Tone is the class of its outcome.
func (l auditLine) Tone() string {
	return map[string]string{acts.OutcomeDone: "good", acts.OutcomeBegun: "warn", acts.OutcomeRefused: "warn", acts.OutcomeFailed: "bad"}[l.Outcome]
}

// audit is the screen of who looked and who acted. Reading it is no line of it, as it is
// none by `projector audit list`: it shows nothing of any account but its id, and would
// never end if each reading added to it.
func (c *Console) audit(r *http.Request) (any, error) {
	q := r.URL.Query()
	f, err := auditFilter(q, time.Now())
	if err != nil {
		return nil, err
	}
	v := &auditView{Lines: []auditLine{}, Words: auditWordList(),
		Filter: auditAsked{strings.TrimSpace(q.Get("account")), q.Get("who"), q.Get("what"), strings.TrimSpace(q.Get("since"))}}
	v.Any = v.Filter != auditAsked{}
	var more bool
	err = admin.ListAudit(r.Context(), c.cfg.Pool, f, auditPage+1, func(e admin.AuditEntry) error {
		if len(v.Lines) == auditPage {
			more = true
			return nil
		}
		l := auditLine{ID: e.ID, At: e.At, Who: e.Who, Through: e.Through, What: e.What, Words: auditWords(e.What), Detail: e.Detail, Outcome: e.Outcome}
		if e.Account != nil {
			id := e.Account.String()
			l.Account = &id
		}
		v.Begun = v.Begun || e.Outcome == acts.OutcomeBegun
		v.Lines = append(v.Lines, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	page := url.Values{}
	for name, value := range map[string]string{"account": v.Filter.Account, "who": v.Filter.Who, "what": v.Filter.What, "since": v.Filter.Since} {
		if value != "" {
			page.Set(name, value)
		}
	}
	if f.Before > 0 {
		v.First = "/audit?" + page.Encode()
	}
	if more {
		page.Set("before", strconv.FormatInt(v.Lines[auditPage-1].ID, 10))
		v.Next = "/audit?" + page.Encode()
	}
	return v, nil
}

// auditFilter reads what was asked for.
func auditFilter(q url.Values, now time.Time) (f admin.AuditFilter, err error) {
	if f.Account, err = maybeAccount(q, "account"); err != nil {
		return f, err
	}
	if f.Who = q.Get("who"); len(f.Who) > 1000 || strings.ContainsRune(f.Who, 0) || !utf8.ValidString(f.Who) {
		return f, badRequest("Nobody has that name", "A line names a user by at most 200 characters.")
	}
	if f.What = q.Get("what"); f.What != "" && !slices.Contains(acts.AuditWords(), f.What) {
		return f, badRequest("No line says that", "What is one of %s.", strings.Join(acts.AuditWords(), ", "))
	}
	if text := strings.TrimSpace(q.Get("since")); text != "" {
		if f.Since, err = sinceWhen(text, now); err != nil {
			return f, err
		}
	}
	if text := q.Get("before"); text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return f, badRequest("That is no page", "before is the number of a line, such as 1234.")
		}
	}
	return f, nil
}

// sinceWhen is a point in time, or how long ago it was.
func sinceWhen(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 1970 && t.Year() < 9999 {
			return t, nil
		}
	}
	return time.Time{}, badRequest("That is no time", "It has to be one in UTC, such as 2026-03-25 or 2026-03-25 07:11, or how long ago, such as 24h.")
}

// auditWord is a word of the audit, and what it means.
type auditWord struct{ Word, Means string }

func auditWordList() (all []auditWord) {
	for _, w := range acts.AuditWords() {
		all = append(all, auditWord{w, auditWords(w)})
	}
	return all
}

// auditWords says what a word of the audit means.
func auditWords(what string) string {
	if means := auditMeanings[what]; means != "" {
		return means
	}
	return fmt.Sprintf("%q", what) // written by a later version
}

var auditMeanings = map[string]string{
	acts.AccountViewed:    "looked at an account",
	acts.AccountHistory:   "looked at the history of an account",
	acts.AccountExport:    "exported an account's document",
	acts.AccountVerify:    "verified accounts",
	acts.AccountErasePlan: "looked at what an erasure would remove",
	acts.AccountErase:     "erased an account",
	acts.AccountRefold:    "folded accounts anew",
	acts.ParkedViewed:     "looked at parked messages",
	acts.ParkedExported:   "exported parked messages",
	acts.ParkedRetry:      "retried parked messages",
	acts.ParkedDismiss:    "dismissed parked messages",
	acts.ParkedUndismiss:  "took a dismissal back",
	acts.ErasuresViewed:   "looked at the ledger of erasures",
	acts.ErasuresExport:   "exported the ledger of erasures",
	acts.ErasuresImport:   "imported a ledger of erasures",
	acts.ErasuresRemove:   "took an account off the ledger of erasures",
	acts.Provision:        "provisioned the stream and the tables",
	acts.Rebuild:          "rebuilt into a new generation",
	acts.Cutover:          "cut over to another generation",
	acts.Rollback:         "rolled back to another generation",
	acts.GenerationDrop:   "dropped a generation",
	acts.Accept:           "accepted the stream, or a loss",
	acts.AcceptViewed:     "looked at what accepting would give up",
	acts.Pause:            "paused projecting",
	acts.Resume:           "resumed projecting",
	acts.Publish:          "published events",
	acts.Import:           "imported events",
}

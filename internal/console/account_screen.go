package console

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
)

// Bounds of what reading documents for pages takes, for all pages together. A document
// that has no room in memory goes to a file without a name.
const (
	documentsInMemory = 32 << 20
	documentsInFiles  = 512 << 20
)

// accountScreens are what the screens of accounts have in common. It is safe for
// concurrent use.
type accountScreens struct {
	documents *export.Reader
	largest   int64 // bytes of a document that is shown; mostDocument, less in tests
	histories *histories
	folds     chan struct{} // a place for each document of the past that is being folded
	looks     looks
	c         *Console
}

// routeAccounts adds the screens of accounts.
func (c *Console) routeAccounts(m *mux.Router) {
	c.accounts = &accountScreens{documents: export.NewReader(c.cfg.Pool, export.Limits{Memory: documentsInMemory, Files: documentsInFiles}),
		largest: mostDocument, histories: newHistories(c.cfg.Privacy), folds: make(chan struct{}, mostFolds), c: c}
	c.onForget(c.accounts.histories.forget)
	c.onForget(c.accounts.looks.forget)
	m.HandleFunc("/accounts", c.findAccount).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/api/accounts", c.findAccount).Methods(http.MethodGet, http.MethodHead)
	c.screen(m, "/accounts/{account}", "account", c.account)
	m.HandleFunc("/api/accounts/{account}/document", c.apiDocument).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/api/accounts/{account}/timeline", c.apiTimeline).Methods(http.MethodGet, http.MethodHead)
}

// findView is the form that asks for an account. There is no list of accounts: that would
// have to read them all.
type findView struct {
	Given string
	Wrong string
}

// findAccount leads to the screen of the account that is asked for.
func (c *Console) findAccount(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	text := strings.TrimSpace(cmp.Or(q.Get("id"), q.Get("account")))
	account, err := accountOf(text)
	prefix := ""
	if isAPI(r) {
		prefix = "/api"
	}
	switch {
	case err == nil:
		http.Redirect(w, r, prefix+"/accounts/"+account.String(), http.StatusSeeOther)
	case isAPI(r):
		c.failJSON(w, r, err)
	case text == "":
		c.page(w, r, http.StatusOK, "accounts", findView{})
	default:
		given, _ := cutText(text, mostType)
		c.page(w, r, http.StatusBadRequest, "accounts", findView{given, asFailure(err).Error()})
	}
}

// erased tells whether an account is on the ledger of erasures, which every folded
// erasure enters with its tombstone.
func (s *accountScreens) erased(ctx context.Context, account events.UUID) (bool, error) {
	found, err := admin.FindErasures(ctx, s.c.cfg.Pool, []events.UUID{account})
	return len(found) > 0, err
}

// generation is the live one, as of the last look, so that a page needs no statement for
// it. again asks the database.
func (s *accountScreens) generation(ctx context.Context, again bool) (readmodel.Generation, error) {
	last := s.c.lastLook()
	if !again && last != nil && last.Status != nil {
		return last.Status.Generation, nil
	}
	return readmodel.LiveGeneration(ctx, s.c.cfg.Pool)
}

// notes are what is on record of an account. Where the generation of the last look is not
// the live one any more, or was dropped, they are read anew in the one that is.
func (s *accountScreens) notes(ctx context.Context, account events.UUID, most int) (readmodel.Generation, admin.AccountNotes, error) {
	g, err := s.generation(ctx, false)
	if err != nil {
		return g, admin.AccountNotes{}, err
	}
	n, err := admin.ReadAccountNotes(ctx, s.c.cfg.Pool, g, account, most)
	if readmodel.SQLState(err) == "42P01" || err == nil && n.Live != g.Number && n.Live != 0 { // undefined_table
		if g, err = s.generation(ctx, true); err == nil {
			n, err = admin.ReadAccountNotes(ctx, s.c.cfg.Pool, g, account, most)
		}
	}
	return g, n, err
}

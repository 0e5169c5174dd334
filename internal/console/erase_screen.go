package console

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"accountexport/events"
)

// eraseView is what is asked before an account is erased. It holds nothing of the account
// but its id, so that it is no look at it; the plan is one.
type eraseView struct {
	Account  string     `json:"account"`
	Copies   []copyView `json:"copies"` // of the stream, that may be named
	NoCopies string     `json:"copies_failed"`
	Stream   string     `json:"stream"`
	MayAct   bool       `json:"may_act"`
	Command  string     `json:"command"` // that does the same
}

func (v *eraseView) pageTitle() string { return "Erase an account" }

// eraseScreen asks. What is erased is gone for ever, so it tells what that means.
func (c *Console) eraseScreen(r *http.Request) (any, error) {
	account, err := parseAccount(mux.Vars(r)["account"])
	if err != nil {
		return nil, err
	}
	on, err := c.on()
	if err != nil {
		return nil, err
	}
	f, err := c.facts.current(r.Context())
	if err != nil {
		return nil, err
	}
	v := &eraseView{Account: account.String(), Stream: on.Stream.Stream(), MayAct: c.cfg.AllowActs,
		Command: fmt.Sprintf("projector erase --account %s", account)}
	v.Copies, v.NoCopies = copiesOf(f)
	return v, nil
}

// parseAccount reads an account's id.
func parseAccount(text string) (events.UUID, error) {
	id, err := events.ParseUUID(strings.ToLower(strings.TrimSpace(text)))
	if err != nil {
		return id, badRequest("That is no account's id", "It has to be a UUID, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a.")
	}
	return id, nil
}

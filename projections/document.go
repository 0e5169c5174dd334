package projections

import (
	"fmt"
	"slices"
)

// State is how far an account's document has come.
type State uint8

// The states of an account that has had a message.
const (
	Incomplete State = iota
	Complete
	Erased
)

// String is the state's name.
func (s State) String() string { return [...]string{"incomplete", "complete", "erased"}[s] }

// State is how far the account's document has come, given what [Account.Document] says
// is missing.
func (a *Account) State(missing []string) State {
	switch {
	case a.erased:
		return Erased
	case missing != nil:
		return Incomplete
	}
	return Complete
}

// Tier is the id of the quota tier that the account's team is on, empty without a team.
func (a *Account) Tier() (string, error) {
	if !a.hasTeam() {
		return "", nil
	}
	t, err := a.openTeam()
	if err != nil {
		return "", err
	}
	return t.QuotaTierID, nil
}

// Document is the account's export. It needs all of the account in memory, as it is
// when the account was folded from its first message on and never trimmed. tier is
// the body of the team's tier, nil where that is not defined. Where the account is
// not complete there is no document, and missing names what it lacks; of an erased
// account there is neither.
func (a *Account) Document(tier []byte) (doc []byte, missing []string, err error) {
	if a.erased {
		return nil, nil, nil
	}
	missing = Missing(a.hasUser(), a.hasTeam(), tier != nil)
	if missing != nil {
		return nil, missing, nil
	}
	u, err := a.openUser()
	if err != nil {
		return nil, nil, err
	}
	t, err := a.openTeam()
	if err != nil {
		return nil, nil, err
	}
	doc = u.appendJSON(append(doc, `{"user":`...))
	doc = t.appendJSON(append(doc, `,"team":`...))
	doc = append(append(doc, `,"quota_tier":`...), tier...)
	names := [...]string{`,"quota_usage":[`, `,"api_keys":[`, `,"sandboxes":[`}
	for i, s := range a.sections() {
		if !s.complete {
			return nil, nil, fmt.Errorf("account %s: %w", a.id, ErrNotLoaded)
		}
		doc = append(doc, names[i]...)
		doc = s.appendAll(doc)
		doc = append(doc, ']')
	}
	return append(doc, '}'), nil, nil
}

// Missing names the parts that a document lacks, nil where it is complete.
func Missing(user, team, tier bool) []string {
	var m []string
	for _, part := range []struct {
		there bool
		name  string
	}{{user, "user"}, {team, "team"}, {tier, "quota_tier"}} {
		if !part.there {
			m = append(m, part.name)
		}
	}
	return m
}

// appendAll appends all items: those of the pages, then those of the tail.
func (s *section) appendAll(doc []byte) []byte {
	keys := make([]string, 0, len(s.open))
	for k := range s.open {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		pg := s.open[k]
		doc = append(append(doc, joinItems(pg.items, pg.bytes)...), ',')
	}
	if b := s.body(); len(b) > 0 {
		return append(doc, b...)
	}
	if len(keys) > 0 {
		doc = doc[:len(doc)-1]
	}
	return doc
}

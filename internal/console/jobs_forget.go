package console

import (
	"encoding/json"
	"slices"
	"strings"

	"accountexport/events"
	"accountexport/internal/acts"
)

// forget has acts that name an account be remembered no longer, be it as the one that
// they concern or in what they have come to: those that have ended go at once, and those
// that run when they end. Erasures stay, which hold the account's id and nothing else of
// it, and so does but.
func (s *jobs) forget(account events.UUID, but *job) {
	s.mu.Lock()
	for _, j := range s.all {
		if j != but && j.Act != acts.AccountErase {
			j.erased = append(j.erased, account.String())
		}
	}
	s.mu.Unlock()
	s.dropForgotten()
}

// dropForgotten removes what has ended and names somebody who was erased since it began.
func (s *jobs) dropForgotten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(j *job) bool {
		if len(j.erased) == 0 || !j.over() {
			return false
		}
		drop := j.names(j.erased)
		j.erased = nil // it has come to what it has come to
		return drop
	})
}

// names tells whether an act that has ended is about one of these accounts, or its page
// names it. What cannot be looked at counts as naming it.
func (j *job) names(accounts []string) bool {
	b, err := json.Marshal(j.view())
	text := strings.ToLower(string(b))
	return err != nil || slices.ContainsFunc(accounts, func(id string) bool {
		return j.about != nil && j.about.String() == id || strings.Contains(text, id)
	})
}

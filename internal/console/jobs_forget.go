package console

import (
	"slices"

	"accountexport/events"
	"accountexport/internal/acts"
)

// forget has acts about an account be remembered no longer: those that have ended go at
// once, and those that run when they end. Erasures of the account stay, which hold its id
// and nothing else of it, and so does but.
func (s *jobs) forget(account events.UUID, but *job) {
	s.mu.Lock()
	for _, j := range s.all {
		if j != but && j.Act != acts.AccountErase && j.about != nil && *j.about == account {
			j.forgot = true
		}
	}
	s.mu.Unlock()
	s.dropForgotten()
}

// dropForgotten removes what is not to be remembered, and has ended.
func (s *jobs) dropForgotten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(j *job) bool { return j.forgot && j.over() })
}

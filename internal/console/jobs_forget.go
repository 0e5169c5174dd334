package console

import (
	"slices"

	"accountexport/events"
	"accountexport/internal/acts"
)

// forget has acts that name an account be remembered no longer, be it as the one that
// they concern or in what they have come to: those that have ended go at once, and those
// that run when they end. Erasures stay, which hold the account's id and nothing else of
// it, and so does but.
func (s *jobs) forget(account events.UUID, but *job) {
	s.forgetThose(account, func(j *job) bool { return j != but })
}

// forgetThose is forget, of some of the acts. mu is held while they are chosen.
func (s *jobs) forgetThose(account events.UUID, chosen func(*job) bool) {
	s.mu.Lock()
	for _, j := range s.all {
		if j.Act != acts.AccountErase && chosen(j) {
			j.erased = append(j.erased, account)
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
		j.dropMessages(j.erased)
		drop := slices.ContainsFunc(j.accounts(), func(id events.UUID) bool { return slices.Contains(j.erased, id) })
		j.erased = nil // it has come to what it has come to
		return drop
	})
}

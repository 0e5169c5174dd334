package console

import (
	"context"
	"sync"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
)

// lookStands is for how long a page that was opened may ask for more of its account
// before that is a line of the audit of its own: a reader who scrolls and drags a slider
// is one who looks.
const lookStands = time.Minute

// mostLooks bounds how many are remembered; beyond it each is a line.
const mostLooks = 4096

// looks remembers who has looked at which account just now. It is safe for concurrent use.
type looks struct {
	mu   sync.Mutex
	made map[lookKey]time.Time
}

type lookKey struct {
	user    string
	account events.UUID
}

// recordLook writes a look at an account into the audit. Nothing may be read or shown
// before, nor where it fails. A look that goes on with a page is a line only where the
// user's last line about that account is older than lookStands.
func (c *Console) recordLook(ctx context.Context, user string, account events.UUID, what, detail string, goesOn bool) error {
	key := lookKey{user, account}
	if goesOn && c.accounts.looks.stands(key) {
		return nil
	}
	if err := c.recorder(user).Look(ctx, what, &account, detail); err != nil {
		return err
	}
	c.accounts.looks.remember(key)
	return nil
}

// recordParked writes a look at all that is parked, in groups, by the same rule: it is
// remembered as one at no account.
func (c *Console) recordParked(ctx context.Context, user string, goesOn bool) error {
	key := lookKey{user: user}
	if goesOn && c.accounts.looks.stands(key) {
		return nil
	}
	if err := c.recorder(user).Look(ctx, acts.ParkedViewed, nil, "groups"); err != nil {
		return err
	}
	c.accounts.looks.remember(key)
	return nil
}

// forget forgets who has looked at an account.
func (l *looks) forget(account events.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.made {
		if k.account == account {
			delete(l.made, k)
		}
	}
}

func (l *looks) stands(key lookKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, there := l.made[key]
	return there && time.Since(at) < lookStands
}

func (l *looks) remember(key lookKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.made == nil {
		l.made = map[lookKey]time.Time{}
	}
	if len(l.made) >= mostLooks {
		for k, at := range l.made {
			if time.Since(at) >= lookStands {
				delete(l.made, k)
			}
		}
	}
	if len(l.made) < mostLooks {
		l.made[key] = time.Now()
	}
}

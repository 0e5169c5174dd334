package stream

import (
	"sync"
	"time"
)

// outage is how long the connection has been lost, so that it is said now and then;
// until it stood first, whoever waits for that says so.
type outage struct {
	mu    sync.Mutex
	stood bool
	since time.Time // zero while it stands
	next  time.Time // when to say so
}

// say tells whether to say now that it is away: after a second, and twice as long
// each time.
func (a *outage) say() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	switch {
	case !a.stood:
		return false
	case a.since.IsZero():
		a.since, a.next = now, now.Add(time.Second)
		return false
	case now.Before(a.next):
		return false
	}
	a.next = now.Add(now.Sub(a.since))
	return true
}

// over is told that the connection stands.
func (a *outage) over() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stood, a.since = true, time.Time{}
}

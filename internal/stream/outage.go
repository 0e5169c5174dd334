package stream

import (
	"sync"
	"time"
)

// outage measures how long the connection has been lost, so that the log mentions it
// at growing intervals. Until the first connection was up it reports nothing: Connect
// does the logging while it waits for that.
type outage struct {
	mu            sync.Mutex // guards the fields below; never held over I/O
	connectedOnce bool
	since         time.Time // zero while connected
	nextLog       time.Time
}

// shouldLog reports whether to log the outage now: first after a second, and then each
// time it lasted twice as long.
func (o *outage) shouldLog() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case !o.connectedOnce:
		return false
	case o.since.IsZero():
		o.since, o.nextLog = now, now.Add(time.Second)
		return false
	case now.Before(o.nextLog):
		return false
	}
	o.nextLog = now.Add(now.Sub(o.since))
	return true
}

// end notes that the connection is up.
func (o *outage) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.connectedOnce, o.since = true, time.Time{}
}

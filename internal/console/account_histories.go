package console

import (
	"context"
	"sync"
	"time"

	"accountexport/events"
)

// Bounds of all histories together.
const (
	mostHistories    = 16               // accounts
	mostOfHistories  = 64 << 20         // bytes of memory of those that nobody reads now
	mostReading      = 4                // are read at once: each takes its own bound beside that, at most
	historyIdle      = 5 * time.Minute  // until one that nobody has used is forgotten
	historyReadLimit = 60 * time.Second // for reading what is new of one
)

// histories are the histories of the accounts that were looked at last, so that a page of
// a timeline does not read all of the account's messages. Two who look at one account
// share one; the second waits until the first has read it.
//
// It is safe for concurrent use.
type histories struct {
	privacy Privacy
	bounds  historyBounds // of each
	most    int           // bytes of memory of all
	reading chan struct{} // a place for each that is being read

	mu    sync.Mutex
	all   map[events.UUID]*keptHistory
	bytes int // of all
}

// keptHistory is a history and who uses it.
type keptHistory struct {
	history
	lock chan struct{} // held by whoever uses the history

	// Guarded by mu of histories.
	users   int
	bytes   int
	used    time.Time
	dropped bool // it is not in all any more, and is cleared once nobody uses it
	idle    *time.Timer
}

func newHistories(privacy Privacy) *histories {
	return &histories{privacy: privacy, bounds: defaultBounds, most: mostOfHistories, reading: make(chan struct{}, mostReading), all: map[events.UUID]*keptHistory{}}
}

// with reads what is new of an account's history, and hands it to use, which may use it
// until it returns.
func (s *histories) with(ctx context.Context, from accountStream, account events.UUID, use func(*history) error) error {
	k := s.take(account)
	defer s.give(account, k)
	select {
	case k.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-k.lock }()
	select {
	case s.reading <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	reading, cancel := context.WithTimeout(ctx, historyReadLimit)
	err := k.refresh(reading, from)
	cancel()
	<-s.reading
	s.weigh(k, k.memory())
	if err != nil {
		return err
	}
	return use(&k.history)
}

// take finds an account's history, or begins it, and notes who uses it.
func (s *histories) take(account events.UUID) *keptHistory {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.all[account]
	if k == nil {
		k = &keptHistory{history: history{account: account, privacy: s.privacy, bounds: s.bounds}, lock: make(chan struct{}, 1)}
		k.idle = time.AfterFunc(historyIdle, func() { s.forgetIdle(k, historyIdle) })
		s.all[account] = k
	}
	k.users++
	k.used = time.Now()
	return k
}

// give ends a use.
func (s *histories) give(account events.UUID, k *keptHistory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.users--
	k.used = time.Now()
	k.idle.Reset(historyIdle)
	if k.users == 0 && k.dropped {
		k.clear()
	}
	s.evict()
}

// weigh notes how many bytes a history takes.
func (s *histories) weigh(k *keptHistory, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.dropped {
		return
	}
	s.bytes += bytes - k.bytes
	k.bytes = bytes
	s.evict()
}

// evict forgets those that were used longest ago, until the rest is within the bounds.
// The caller holds mu.
func (s *histories) evict() {
	for len(s.all) > mostHistories || s.bytes > s.most {
		var oldest *keptHistory
		for _, k := range s.all {
			if k.users == 0 && (oldest == nil || k.used.Before(oldest.used)) {
				oldest = k
			}
		}
		if oldest == nil {
			return // all are in use; whoever ends comes here again
		}
		s.remove(oldest)
	}
}

// remove takes a history out, and clears it once nobody uses it. The caller holds mu.
func (s *histories) remove(k *keptHistory) {
	if k.dropped {
		return
	}
	k.dropped = true
	k.idle.Stop()
	delete(s.all, k.account)
	s.bytes -= k.bytes
	if k.users == 0 {
		k.clear()
	}
}

// forget drops an account's history, as where the account is erased.
func (s *histories) forget(account events.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.all[account]; k != nil {
		s.remove(k)
	}
}

// forgetIdle drops a history that nobody has used for so long.
func (s *histories) forgetIdle(k *keptHistory, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.account] == k && k.users == 0 && time.Since(k.used) >= idle {
		s.remove(k)
	}
}

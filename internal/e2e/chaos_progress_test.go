package e2e

import (
	"sync"
	"time"
)

// progress measures how long nothing moved: of the partitions, of the API's
// answers, or of what is published.
type progress struct {
	mu      sync.Mutex
	moved   map[int]time.Time // when each part moved last
	windows map[*window]bool
}

// window is a stretch of time in which the longest standstill is wanted.
type window struct {
	began   time.Time
	longest time.Duration
}

func newProgress() *progress {
	return &progress{moved: map[int]time.Time{}, windows: map[*window]bool{}}
}

// advanced notes that a part moved.
func (p *progress) advanced(part int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for w := range p.windows {
		w.see(p.moved[part], now)
	}
	p.moved[part] = now
}

func (w *window) see(moved, now time.Time) {
	if moved.Before(w.began) {
		moved = w.began
	}
	w.longest = max(w.longest, now.Sub(moved))
}

// last is when every part had moved.
func (p *progress) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last time.Time
	for _, moved := range p.moved {
		if last.IsZero() || moved.Before(last) {
			last = moved
		}
	}
	return last
}

// begin opens a window.
func (p *progress) begin() *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &window{began: time.Now()}
	p.windows[w] = true
	return w
}

// end closes it and tells the longest time that a part stood still in it.
func (p *progress) end(w *window) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, moved := range p.moved {
		w.see(moved, now)
	}
	delete(p.windows, w)
	return w.longest
}

package e2e

import (
	"sync"
	"time"
)

// progress measures how long the partitions, the answers of the API, or the publisher made no
// progress.
type progress struct {
	mu      sync.Mutex
	moved   map[int]time.Time // when each part moved last
	windows map[*window]bool
}

// window is a period of which the longest time without progress is wanted.
type window struct {
	began   time.Time
	longest time.Duration
}

func newProgress() *progress {
	return &progress{moved: map[int]time.Time{}, windows: map[*window]bool{}}
}

// advanced records that a part made progress.
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

// last is the latest time by which every part had made progress.
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

// end closes a window and returns the longest time in it that a part made no progress.
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

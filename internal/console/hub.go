package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"accountexport/internal/acts"
)

// How often the read model is looked at: for all open pages together, or for the plots
// alone where no page is open.
const (
	lookEvery     = time.Second
	lookIdleEvery = 10 * time.Second
	lookTimeout   = 15 * time.Second
)

// look is what one look has found.
type look struct {
	Began  time.Time
	At     time.Time    // when it had ended
	Status *acts.Status // nil where it has failed
	Err    error        // why it has failed; nil where it has not
	Since  time.Time    // of the first look in a row that has failed; zero where this one has not
}

// good tells whether a look can be shown to whoever opens a page now. What has failed may be
// over.
func (l *look) good() bool {
	switch {
	case l == nil:
		return false
	case l.Err != nil:
		return time.Since(l.At) < 2*lookEvery
	}
	return time.Since(l.At) < lookIdleEvery+lookTimeout
}

// trouble says what has failed, and since when.
func (l *look) trouble() string {
	return fmt.Sprintf("%s (since %s; this page goes on by itself)", strings.TrimSuffix(asFailure(l.Err).Error(), "."), instant(l.Since))
}

// hub looks at the read model for everybody, and tells every page that follows.
type hub struct {
	read    func(context.Context) (*acts.Status, error)
	within  func(what string, do func() error) error // makes an error of a panic
	history *series

	mu        sync.Mutex
	last      *look                // nil before the first look
	next      chan struct{}        // closed by the next look
	viewers   map[*viewer]struct{} // pages that follow
	asked     time.Time            // when a page was asked for last
	notBefore time.Time            // looks that began before do not count
	wake      chan struct{}        // has the next look come at once

	topics map[string]func(of string) ([]byte, error) // by the part before the colon; set before run
	most   int                                        // pages that may follow at once
}

// mostViewers bounds the pages that follow at once: each has a connection and its last
// fragment.
const mostViewers = 2000

// viewer is a page that follows a topic.
type viewer struct {
	topic string
	news  chan []byte       // holds the newest fragment; an older one that was not taken is dropped
	sent  [sha256.Size]byte // the digest of the fragment that was sent last; the zero value before the first
}

func newHub(read func(context.Context) (*acts.Status, error), within func(string, func() error) error) *hub {
	return &hub{read: read, within: within, history: &series{}, next: make(chan struct{}), viewers: map[*viewer]struct{}{}, wake: make(chan struct{}, 1),
		topics: map[string]func(string) ([]byte, error){}, most: mostViewers}
}

// run looks until ctx ends.
func (h *hub) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		h.lookOnce(ctx)
		wait := lookEvery
		if h.idle() {
			wait = lookIdleEvery
		}
		timer := time.NewTimer(time.Until(began.Add(wait)))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				waiting = false
			case <-timer.C:
				waiting = false
			case <-h.wake: // a page was opened, but there is one look a second at most
				timer.Reset(time.Until(began.Add(lookEvery)))
			}
		}
		timer.Stop()
	}
}

// idle tells whether no page is open.
func (h *hub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers) == 0 && time.Since(h.asked) > lookIdleEvery
}

// lookOnce looks, and tells everybody.
func (h *hub) lookOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l := &look{Began: time.Now()}
	l.Err = h.within("a look", func() (err error) {
		l.Status, err = h.read(ctx)
		return err
	})
	if l.At = time.Now(); l.Err == nil && l.Status.Comparable { // otherwise nobody knows how far it is behind
		h.history.add(l.At, l.Status.Generation.Number, l.Status.Position, l.Status.Lag)
	}
	h.mu.Lock()
	if l.Err != nil {
		l.Since = l.Began
		if h.last != nil && h.last.Err != nil {
			l.Since = h.last.Since
		}
	}
	h.last = l
	close(h.next)
	h.next = make(chan struct{})
	h.mu.Unlock()
	h.tell()
}

// tell renders each of these topics that is followed once, and hands it to its viewers;
// without topics, all of them.
func (h *hub) tell(topics ...string) {
	h.mu.Lock()
	byTopic := map[string][]*viewer{}
	for v := range h.viewers {
		if len(topics) == 0 || slices.Contains(topics, v.topic) {
			byTopic[v.topic] = append(byTopic[v.topic], v)
		}
	}
	h.mu.Unlock()
	for topic, viewers := range byTopic {
		html, err := h.fragment(topic)
		if err != nil {
			continue // the page stays as it is, and says how old it is
		}
		for _, v := range viewers {
			v.offer(html)
		}
	}
}

// follow adds a viewer, unless there are too many.
func (h *hub) follow(v *viewer) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.viewers) >= h.most {
		return false
	}
	h.viewers[v] = struct{}{}
	return true
}

// offer puts a fragment in the place of one that was not taken yet.
func (v *viewer) offer(html []byte) {
	select {
	case <-v.news:
	default:
	}
	select {
	case v.news <- html:
	default:
	}
}

// errNoTopic means that there is nothing of that name to follow.
var errNoTopic = errors.New("no topic")

// fragment renders a topic, such as overview, or job:ID.
func (h *hub) fragment(topic string) (html []byte, err error) {
	name, of, _ := strings.Cut(topic, ":")
	render := h.topics[name]
	// Each topic is rendered anew after each look, so a page of one kind has one name for it.
	if render == nil || topic != name && !slices.Contains(topicsOf, name) || name == "generation" && !isNumber(of) {
		return nil, fmt.Errorf("%w %q", errNoTopic, topic)
	}
	err = h.within(topic, func() (err error) {
		html, err = render(of)
		return err
	})
	return html, err
}

// topicsOf are the topics of something, which stands after the colon.
var topicsOf = []string{"job", "generation"}

// isNumber tells whether a text is a number as the pages write it.
func isNumber(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == text
}

// stale has what was found until now count as old, since an act has changed something.
func (h *hub) stale() {
	h.mu.Lock()
	h.notBefore = time.Now()
	h.mu.Unlock()
	h.wakeUp()
}

// wakeUp has the next look come as soon as it may.
func (h *hub) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// lastLook is the last look, however old; nil before the first.
func (c *Console) lastLook() *look {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	return c.hub.last
}

// current is the last look, and has the next one come at once, which the page then follows.
// It waits for that one where the last has failed some time ago, is older than the longest
// time between two, or has begun before an act ended. So opening a page costs no look of its
// own.
func (h *hub) current(ctx context.Context) (*look, error) {
	h.mu.Lock()
	h.asked = time.Now()
	h.mu.Unlock()
	h.wakeUp()
	late := time.After(lookTimeout + lookEvery)
	for {
		h.mu.Lock()
		last, next := h.last, h.next
		good := last.good() && last.Began.After(h.notBefore)
		h.mu.Unlock()
		if good {
			return last, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return nil, fmt.Errorf("looking at the read model: %w", context.DeadlineExceeded)
		}
	}
}

// lookAtTopic records that somebody looks at what a topic shows, where its page would: a
// page that was opened just now has its line.
func (c *Console) lookAtTopic(r *http.Request, topic string) error {
	name, of, _ := strings.Cut(topic, ":")
	switch name {
	case "job":
		if j := c.jobs.find(of); j != nil {
			return c.lookAtJob(r.Context(), userOf(r), j)
		}
	case "parked":
		return c.recordParked(r.Context(), userOf(r), true)
	}
	return nil
}

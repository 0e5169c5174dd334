package stream

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrPermission means that the NATS user may not publish on a subject, or not
// subscribe to where answers come, which the error names.
var ErrPermission = errors.New("the NATS user has no permission")

// ErrMaxSubscriptions means that the server lets the connection, or its account,
// hear no more answers.
var ErrMaxSubscriptions = errors.New("the server lets this connection, or its account, have no more subscriptions: raise max_subscriptions, " +
	"or the account's limit; every reading takes one, and asking takes one more")

// violations tells requests that the server refused them: it says so to nobody in
// particular, and answers nothing.
type violations struct {
	// How subjects begin that a server of its own domain takes for those of
	// $JS.API, and judges and names as such; empty: none.
	domain string

	mu       sync.Mutex
	waiting  map[string]map[*violationWaiter]bool // by how the subject begins, in lower case
	answered bool                                 // a request was, on this connection: its answers are heard
	inboxErr error                                // why none is
}

// violationWaiter is of one request, or of one reader.
type violationWaiter struct {
	done  chan struct{} // closed once it is denied
	err   error         // why, then; nil: it may not publish
	what  string        // on which subject that was, as the server says it
	hears bool          // what comes for it is heard: no subscription that is refused is its own
}

func (d *violationWaiter) deny(why error) {
	d.err = why
	close(d.done)
}

var (
	deniedSubject = regexp.MustCompile(`(?i)publish to "([^"]+)"`)
	deniedInbox   = regexp.MustCompile(`(?i)subscription to "([^"]+)"`)
)

// handle is told of every error of the connection, and tells whether by it answers
// are not heard any more.
func (d *violations) handle(err error) (deaf bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		d.failUnanswered(ErrMaxSubscriptions)
		return false
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	if m := deniedInbox.FindStringSubmatch(err.Error()); m != nil {
		root, _, _ := strings.Cut(m[1], ".")
		why := fmt.Errorf("%w to subscribe to %s.>, where answers come", ErrPermission, root)
		if !d.answered {
			d.inboxErr = why
		}
		d.failUnanswered(why)
		return true
	}
	m := deniedSubject.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	subject := strings.ToLower(m[1])
	for prefix := range d.waiting {
		switch {
		case strings.HasPrefix(subject, prefix):
			for w := range d.waiting[prefix] {
				w.what = m[1]
			}
			d.end(prefix, nil)
		case strings.HasPrefix(subject, strings.ToLower(d.taken(prefix))):
			d.end(prefix, errTaken)
		}
	}
	return false
}

// taken is what a server of the domain takes a subject for.
func (d *violations) taken(subject string) string {
	if n := len(d.domain); n > 0 && len(subject) >= n && strings.EqualFold(subject[:n], d.domain) {
		return jetstream.DefaultAPIPrefix + subject[n:]
	}
	return subject
}

// end denies all that wait with this prefix.
func (d *violations) end(prefix string, why error) {
	for w := range d.waiting[prefix] {
		w.deny(why)
	}
	delete(d.waiting, prefix)
}

// failUnanswered denies all for which nothing has come yet: whose subscription was
// refused, the server does not say.
func (d *violations) failUnanswered(why error) {
	for _, those := range d.waiting {
		for w := range those {
			if !w.hears {
				w.deny(why)
				delete(those, w)
			}
		}
	}
}

// reset is told that the connection is another one.
func (d *violations) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inboxErr, d.answered = nil, false
}

// answer is told that a request was answered.
func (d *violations) answer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answered = true
}

// hear is told that something has come for a reader.
func (d *violations) hear(by *violationWaiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	by.hears = true
}

// watch gives what is denied once publishing on the subject, or one that begins
// like that, is refused. A reader has a subscription of its own.
func (d *violations) watch(subject string, reader bool) (denied *violationWaiter, end func()) {
	prefix := strings.ToLower(subject)
	d.mu.Lock()
	defer d.mu.Unlock()
	denied = &violationWaiter{done: make(chan struct{}), hears: d.answered && !reader}
	if d.inboxErr != nil {
		denied.deny(d.inboxErr)
		return denied, func() {}
	}
	if d.waiting == nil {
		d.waiting = map[string]map[*violationWaiter]bool{}
	}
	if d.waiting[prefix] == nil {
		d.waiting[prefix] = map[*violationWaiter]bool{}
	}
	d.waiting[prefix][denied] = true
	return denied, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting[prefix], denied)
	}
}

// errTaken is a denial of what the server took the subject for.
var errTaken = errors.New("taken for another")

// denied is the error of publishing on a subject, where that is denied; one that
// ends in a dot stands for all that begin like it.
func (d *violations) denied(by *violationWaiter, subject string) error {
	switch {
	case by.err == errTaken:
		subject = d.taken(subject)
	case by.err != nil:
		return by.err
	case subject == subjectRoot && by.what != "":
		subject = by.what // of many messages, that one
	}
	if strings.HasSuffix(subject, ".") {
		subject += ">"
	}
	return fmt.Errorf("%w to publish on %s", ErrPermission, subject)
}

// withPermissionCheck does what publishes on a subject, or on one that begins like it;
// where that is refused, it ends at once, with [ErrPermission].
func (c *Client) withPermissionCheck(ctx context.Context, subject string, do func(ctx context.Context) error) error {
	denied, end := c.violations.watch(subject, false)
	defer end()
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-denied.done:
			cancel()
		case <-asking.Done():
		}
	}()
	err := do(asking)
	cancel()
	<-done
	if refused := (*jetstream.APIError)(nil); err == nil || errors.As(err, &refused) {
		c.violations.answer()
	}
	select {
	case <-denied.done:
		return c.violations.denied(denied, subject)
	default:
		return c.available(subject, err)
	}
}

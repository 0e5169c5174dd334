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
// subscribe to the inbox. The error names the subject.
var ErrPermission = errors.New("the NATS user has no permission")

// ErrMaxSubscriptions means that the server refuses the connection, or its account,
// another subscription, so answers cannot be received.
var ErrMaxSubscriptions = errors.New("the server lets this connection, or its account, have no more subscriptions: raise max_subscriptions, " +
	"or the account's limit; every reading takes one, and asking takes one more")

// violations tells requests and readers that the server refused them. The server
// sends no answer to a request that it refuses: it reports a permission violation
// to the connection, naming a subject and no request.
type violations struct {
	// domain is the API prefix of the JetStream domain that the client names,
	// $JS.<domain>.API. A server in that domain judges such subjects as those of
	// $JS.API, and names them so in a violation. Empty: none. Set by Connect.
	domain string

	// mu guards the fields below and those of every violationWaiter but done. It is
	// never held over I/O.
	mu       sync.Mutex
	waiting  map[string]map[*violationWaiter]bool // by the prefix of the subject, in lower case
	answered bool                                 // a request was answered on this connection, so its inbox is subscribed
	inboxErr error                                // why no answer can be received on this connection; nil: it can
}

// violationWaiter belongs to one request or one reader.
type violationWaiter struct {
	done      chan struct{} // closed when it is refused; err and refused are set before that
	err       error         // why; nil: it may not publish on its subject
	refused   string        // the subject, as the server names it; empty: not known
	receiving bool          // its own subscription works, so a refused one is another's
}

func (w *violationWaiter) fail(why error) {
	w.err = why
	close(w.done)
}

var (
	deniedSubject = regexp.MustCompile(`(?i)publish to "([^"]+)"`)
	deniedInbox   = regexp.MustCompile(`(?i)subscription to "([^"]+)"`)
)

// handle looks at an error of the connection and fails every waiter that it refuses.
// inboxDenied is true where answers cannot be received any more.
func (v *violations) handle(err error) (inboxDenied bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		v.failUnanswered(ErrMaxSubscriptions)
		return false
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	if m := deniedInbox.FindStringSubmatch(err.Error()); m != nil {
		root, _, _ := strings.Cut(m[1], ".")
		why := fmt.Errorf("%w to subscribe to %s.>, where answers come", ErrPermission, root)
		if !v.answered {
			v.inboxErr = why
		}
		v.failUnanswered(why)
		return true
	}
	m := deniedSubject.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	subject := strings.ToLower(m[1])
	for prefix := range v.waiting {
		switch {
		case strings.HasPrefix(subject, prefix):
			for w := range v.waiting[prefix] {
				w.refused = m[1]
			}
			v.failPrefix(prefix, nil)
		case strings.HasPrefix(subject, strings.ToLower(v.mappedSubject(prefix))):
			v.failPrefix(prefix, errSubjectMapped)
		}
	}
	return false
}

// mappedSubject returns the subject as a server in the client's own domain names it.
func (v *violations) mappedSubject(subject string) string {
	if n := len(v.domain); n > 0 && len(subject) >= n && strings.EqualFold(subject[:n], v.domain) {
		return jetstream.DefaultAPIPrefix + subject[n:]
	}
	return subject
}

// failPrefix fails all waiters on a prefix.
func (v *violations) failPrefix(prefix string, why error) {
	for w := range v.waiting[prefix] {
		w.fail(why)
	}
	delete(v.waiting, prefix)
}

// failUnanswered fails all waiters that have received nothing yet: the server does
// not say whose subscription it refused.
func (v *violations) failUnanswered(why error) {
	for _, waiters := range v.waiting {
		for w := range waiters {
			if !w.receiving {
				w.fail(why)
				delete(waiters, w)
			}
		}
	}
}

// reset notes that the connection was replaced.
func (v *violations) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.inboxErr, v.answered = nil, false
}

// requestAnswered notes that a request was answered.
func (v *violations) requestAnswered() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered = true
}

// readerReceived notes that a reader has received something.
func (v *violations) readerReceived(w *violationWaiter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.receiving = true
}

// watch registers a waiter, which fails once publishing on the subject, or on one
// that begins with it, is refused. A reader says so, since it has a subscription of
// its own. The caller calls unwatch when it is done.
func (v *violations) watch(subject string, reader bool) (w *violationWaiter, unwatch func()) {
	prefix := strings.ToLower(subject)
	v.mu.Lock()
	defer v.mu.Unlock()
	w = &violationWaiter{done: make(chan struct{}), receiving: v.answered && !reader}
	if v.inboxErr != nil {
		w.fail(v.inboxErr)
		return w, func() {}
	}
	if v.waiting == nil {
		v.waiting = map[string]map[*violationWaiter]bool{}
	}
	if v.waiting[prefix] == nil {
		v.waiting[prefix] = map[*violationWaiter]bool{}
	}
	v.waiting[prefix][w] = true
	return w, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.waiting[prefix], w)
	}
}

// errSubjectMapped is the reason of a refusal under the subject's other name.
var errSubjectMapped = errors.New("taken for another")

// permissionError is the error of a waiter that failed. A subject that ends in a dot
// stands for all that begin with it.
func (v *violations) permissionError(w *violationWaiter, subject string) error {
	switch {
	case w.err == errSubjectMapped:
		subject = v.mappedSubject(subject)
	case w.err != nil:
		return w.err
	case subject == subjectRoot && w.refused != "":
		subject = w.refused // of many messages, that one
	}
	if strings.HasSuffix(subject, ".") {
		subject += ">"
	}
	return fmt.Errorf("%w to publish on %s", ErrPermission, subject)
}

// withPermissionCheck calls do, which publishes on the subject or on one that begins
// with it. When the server refuses that, the context of do is cancelled at once and
// the error is [ErrPermission]. Without this, do would wait for its timeout.
func (c *Client) withPermissionCheck(ctx context.Context, subject string, do func(ctx context.Context) error) error {
	waiter, unwatch := c.violations.watch(subject, false)
	defer unwatch()
	cancelable, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-waiter.done:
			cancel()
		case <-cancelable.Done():
		}
	}()
	err := do(cancelable)
	cancel()
	<-done
	if refused := (*jetstream.APIError)(nil); err == nil || errors.As(err, &refused) {
		c.violations.requestAnswered()
	}
	select {
	case <-waiter.done:
		return c.violations.permissionError(waiter, subject)
	default:
		return c.available(subject, err)
	}
}

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

// denials tells requests that the server refused them: it says so to nobody in
// particular, and answers nothing.
type denials struct {
	// How subjects begin that a server of its own domain takes for those of
	// $JS.API, and judges and names as such; empty: none.
	domain string

	mu      sync.Mutex
	waiting map[string]map[*denial]bool // by how the subject begins, in lower case
	deaf    error                       // why no answer comes on this connection
}

// denial is of one request.
type denial struct {
	done chan struct{} // closed once it is denied
	err  error         // why, then; nil: it may not publish
}

func (d *denial) deny(why error) {
	d.err = why
	close(d.done)
}

var (
	deniedSubject = regexp.MustCompile(`(?i)publish to "([^"]+)"`)
	deniedInbox   = regexp.MustCompile(`(?i)subscription to "([^"]+)"`)
)

// heard is told of every error of the connection.
func (d *denials) heard(err error) {
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for prefix := range d.waiting { // for whose answers it was, it does not say
			d.end(prefix, ErrMaxSubscriptions)
		}
		return
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := deniedInbox.FindStringSubmatch(err.Error()); m != nil {
		root, _, _ := strings.Cut(m[1], ".")
		d.deaf = fmt.Errorf("%w to subscribe to %s.>, where answers come", ErrPermission, root)
		for prefix := range d.waiting {
			d.end(prefix, d.deaf)
		}
		return
	}
	m := deniedSubject.FindStringSubmatch(err.Error())
	if m == nil {
		return
	}
	subject := strings.ToLower(m[1])
	for prefix := range d.waiting {
		switch {
		case strings.HasPrefix(subject, prefix):
			d.end(prefix, nil)
		case strings.HasPrefix(subject, strings.ToLower(d.taken(prefix))):
			d.end(prefix, errTaken)
		}
	}
}

// taken is what a server of the domain takes a subject for.
func (d *denials) taken(subject string) string {
	if n := len(d.domain); n > 0 && len(subject) >= n && strings.EqualFold(subject[:n], d.domain) {
		return jetstream.DefaultAPIPrefix + subject[n:]
	}
	return subject
}

// end denies all that wait with this prefix.
func (d *denials) end(prefix string, why error) {
	for w := range d.waiting[prefix] {
		w.deny(why)
	}
	delete(d.waiting, prefix)
}

// anew is told that the connection is another one.
func (d *denials) anew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaf = nil
}

// watch gives what is denied once publishing on the subject, or one that begins
// like that, is refused.
func (d *denials) watch(subject string) (denied *denial, end func()) {
	prefix := strings.ToLower(subject)
	denied = &denial{done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf != nil {
		denied.deny(d.deaf)
		return denied, func() {}
	}
	if d.waiting == nil {
		d.waiting = map[string]map[*denial]bool{}
	}
	if d.waiting[prefix] == nil {
		d.waiting[prefix] = map[*denial]bool{}
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
func (d *denials) denied(by *denial, subject string) error {
	switch {
	case by.err == errTaken:
		subject = d.taken(subject)
	case by.err != nil:
		return by.err
	}
	if strings.HasSuffix(subject, ".") {
		subject += ">"
	}
	return fmt.Errorf("%w to publish on %s", ErrPermission, subject)
}

// permitted does what publishes on a subject, or on one that begins like it;
// where that is refused, it ends at once, with [ErrPermission].
func (c *Client) permitted(ctx context.Context, subject string, do func(ctx context.Context) error) error {
	denied, end := c.denials.watch(subject)
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
	select {
	case <-denied.done:
		return c.denials.denied(denied, subject)
	default:
		return c.available(subject, err)
	}
}

package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrPermission means that the NATS user may not publish on a subject, which the
// error names.
var ErrPermission = errors.New("the NATS user has no permission")

// denials tells requests that the server refused them: it says so to nobody in
// particular, and answers nothing.
type denials struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool // by how the subject begins, in lower case
}

var deniedSubject = regexp.MustCompile(`(?i)publish to "([^"]+)"`)

// heard is told of every error of the connection.
func (d *denials) heard(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	m := deniedSubject.FindStringSubmatch(err.Error())
	if m == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	subject := strings.ToLower(m[1])
	for prefix, all := range d.waiting {
		if strings.HasPrefix(subject, prefix) {
			for ch := range all {
				close(ch)
			}
			delete(d.waiting, prefix)
		}
	}
}

// watch gives a channel that is closed once publishing on the subject, or one
// that begins like that, is refused.
func (d *denials) watch(subject string) (denied <-chan struct{}, end func()) {
	subject = strings.ToLower(subject)
	ch := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = map[string]map[chan struct{}]bool{}
	}
	if d.waiting[subject] == nil {
		d.waiting[subject] = map[chan struct{}]bool{}
	}
	d.waiting[subject][ch] = true
	return ch, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.waiting[subject], ch)
	}
}

// permitted does what asks JetStream on a subject that begins like this; where
// that is refused, it ends at once, with [ErrPermission].
func (c *Client) permitted(ctx context.Context, subject string, do func(ctx context.Context) error) error {
	denied, end := c.denials.watch(subject)
	defer end()
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-denied:
			cancel()
		case <-asking.Done():
		}
	}()
	err := do(asking)
	cancel()
	<-done
	select {
	case <-denied:
		return fmt.Errorf("%w to publish on %s", ErrPermission, strings.TrimSuffix(subject, "."))
	default:
		return err
	}
}

// request sends a message and waits for the answer, no longer than a request may
// take; [ErrPermission] where it is refused.
func (c *Client) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	limit, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var answer *nats.Msg
	err := c.permitted(limit, m.Subject, func(limit context.Context) (err error) {
		answer, err = c.nc.RequestMsgWithContext(limit, m)
		return err
	})
	if errors.Is(err, ErrPermission) {
		return nil, err
	}
	if c.asked(ctx, limit, err) != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no answer on %s within %v", m.Subject, requestTimeout)
		}
		return nil, err
	}
	return answer, nil
}

// api asks JetStream; answer may be nil. What it refuses is a
// [jetstream.APIError].
func (c *Client) api(ctx context.Context, subject string, question, answer any) error {
	m := &nats.Msg{Subject: "$JS.API." + subject}
	if question != nil {
		var err error
		if m.Data, err = json.Marshal(question); err != nil {
			return err
		}
	}
	msg, err := c.request(ctx, m)
	if err != nil {
		return err
	}
	var refusal struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &refusal); err != nil {
		return fmt.Errorf("answer of the server on %s: %w", subject, err)
	}
	if refusal.Error != nil {
		return refusal.Error
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("answer of the server on %s: %w", subject, err)
	}
	return nil
}

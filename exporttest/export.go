package exporttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"accountexport/events"
)

// Publish publishes an event, waits for the acknowledgement, and returns the event's
// position.
func (x *System) Publish(t testing.TB, m events.Message) (position uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ack, err := x.JetStream.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: m.NATSHeader(), Data: m.Data})
	if err != nil {
		t.Fatalf("exporttest: publish on %s: %v", m.Subject, err)
	}
	return ack.Sequence
}

// Option says what to wait for.
type Option func(*wait)

type wait struct {
	position uint64
	given    bool
}

// After waits until everything up to a position is folded: the sequence of an
// acknowledgement. Where that is an event of the account, it takes milliseconds; where
// it is one of a quota tier or of another account, up to a second more.
func After(position uint64) Option { return func(w *wait) { w.position, w.given = position, true } }

// Document is an account's export.
type Document struct {
	JSON     []byte // as it is served
	Position uint64 // of the account's last event in it
	Parked   int    // events of the account that could not be folded, and are not in it
}

// Decode reads the document into a value of your own, as [json.Unmarshal] does.
func (d Document) Decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(d.JSON, into); err != nil {
		t.Fatalf("exporttest: decode the document: %v: %s", err, d.JSON)
	}
}

// Export fetches the account's document from the API. Without [After] it waits until
// everything is folded that the stream holds at this moment, as with After of the
// stream's last position. The test fails where there is no document then, and says what
// the API says: an account takes its user, its team and that team's quota tier.
func (x *System) Export(t testing.TB, account events.UUID, opts ...Option) Document {
	t.Helper()
	a := x.Get(t, account, opts...)
	if a.Status != http.StatusOK {
		t.Fatalf("exporttest: account %s has no document: status %d: %s", account, a.Status, a.Body)
	}
	position, err := strconv.ParseUint(a.Header.Get("Export-Position"), 10, 64)
	if err != nil {
		t.Fatalf("exporttest: Export-Position: %v", err)
	}
	parked := 0
	if h := a.Header.Get("Export-Parked"); h != "" {
		if parked, err = strconv.Atoi(h); err != nil {
			t.Fatalf("exporttest: Export-Parked: %v", err)
		}
	}
	return Document{JSON: a.Body, Position: position, Parked: parked}
}

// Answer is what the API answers.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // a document, or a problem
}

// Get is [System.Export] for whatever the API answers once the position is reached: also
// 404 for an account that was never heard of, 410 for one that was erased, and 503 for
// one that is not complete.
func (x *System) Get(t testing.TB, account events.UUID, opts ...Option) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { // nobody waits for what cannot come
		select {
		case <-x.projector.Ended():
		case <-x.api.Ended():
		case <-ctx.Done():
		}
		cancel()
	}()
	var w wait
	for _, o := range opts {
		o(&w)
	}
	if !w.given {
		w.position = x.last(ctx, t)
	}
	token := x.Token(account)
	for {
		a, err := x.get(ctx, token, w.position)
		if err == nil && !a.notReached() {
			return a
		}
		if ended := x.ended(); ended != nil {
			t.Fatalf("exporttest: %v", ended)
		}
		if err != nil || ctx.Err() != nil {
			t.Fatalf("exporttest: position %d is not reached: %v %s", w.position, err, a.Body)
		}
	}
}

// get asks once, and waits for the position as long as the API does.
func (x *System) get(ctx context.Context, token string, position uint64) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?min_position=%d", x.URL, position), nil)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Prefer", "wait=10")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, body}, err
}

// notReached reports whether the API waited in vain.
func (a Answer) notReached() bool {
	var problem struct{ Type string }
	return a.Status == http.StatusServiceUnavailable && json.Unmarshal(a.Body, &problem) == nil &&
		problem.Type == "urn:account-export:problem:position-not-reached"
}

// last is the stream's last position.
func (x *System) last(ctx context.Context, t testing.TB) uint64 {
	t.Helper()
	s, err := x.JetStream.Stream(ctx, Stream)
	if err != nil {
		t.Fatalf("exporttest: stream %s: %v", Stream, err)
	}
	return s.CachedInfo().State.LastSeq // as of a moment ago
}

package stream

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// What a reader holds at most that was not yet handed out, beside
// Config.ReadAhead: half of it is what one request asks for, and two requests
// are under way at a time; more and smaller ones where the server allows no more
// (flow.within).
const (
	maxInFlight = 32 << 10 // messages
	statusRoom  = 1 << 10  // for heartbeats and ends of requests, which stop once requests expire
)

const (
	heartbeat        = time.Second
	heartbeatTimeout = 3 * time.Second  // with neither message nor heartbeat while one is waited for
	requestExpires   = 30 * time.Second // then it is sent anew
	inactiveAfter    = 5 * time.Minute  // a consumer without requests is gone
)

// budget is the most bytes in flight: half of it has room for any message, with
// its subjects.
func budget(readAhead int, maxPayload int64) int { return max(readAhead, 2*int(maxPayload)+1<<20) }

// prefetch keeps requests for messages under way. What they still ask for is known
// in sum only, since a message does not tell which request it answers.
type prefetch struct {
	inbox    string // requests are answered at inbox + id
	budget   int
	request  func(reply string, body []byte) error
	open     []pull // requests whose end is not known
	allowed  pullLimits
	most     int // requests under way at a time; 0: two
	larger   int // what half of the budget is while a message comes that is larger; 0: none does
	sent     int // requests so far
	messages int // asked for and not yet taken
	bytes    int
}

// pull is a request under way.
type pull struct {
	id    string
	bytes int
}

// within keeps requests inside what the consumer allows. Where that is few
// messages, more requests are under way, so that a far server is not waited for
// after each; each still has room for the largest message.
func (f *prefetch) within(a pullLimits, maxPayload int64) {
	f.allowed = a
	f.most = 2
	if a.batch > 0 && a.batch < maxInFlight/2 {
		f.most = max(2, min(maxInFlight/a.batch, f.budget/(int(maxPayload)+1<<19), mostRequests))
	}
}

// mostRequests is far below what a consumer lets wait (max_waiting, 512).
const mostRequests = 32

// under is how many requests are under way at a time.
func (f *prefetch) under() int { return max(f.most, 2) }

// each is how many bytes one request asks for.
func (f *prefetch) each() int {
	n := max(f.budget/f.under(), f.larger)
	if f.allowed.bytes > 0 {
		n = min(n, f.allowed.bytes)
	}
	return n
}

// batch is how many messages one request asks for.
func (f *prefetch) batch() int {
	n := maxInFlight / f.under()
	if f.allowed.batch > 0 {
		n = min(n, f.allowed.batch)
	}
	return n
}

// expires is after which time a request ends.
func (f *prefetch) expires() time.Duration {
	if f.allowed.expires > 0 {
		return min(requestExpires, f.allowed.expires)
	}
	return requestExpires
}

type pullRequest struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// fill sends requests until as many are under way as may be.
func (f *prefetch) fill() error {
	for len(f.open) < f.under() {
		req := pullRequest{Expires: f.expires(), Batch: f.batch(), MaxBytes: f.each(), Heartbeat: min(heartbeat, f.expires()/2)}
		if f.sent < f.under()-1 { // the server serves requests in turns: the first must not end together
			req.Batch = max(1, req.Batch*(f.sent+1)/f.under())
		}
		body, err := json.Marshal(req)
		if err != nil {
			return err
		}
		f.sent++
		id := strconv.Itoa(f.sent)
		if err := f.request(f.inbox+id, body); err != nil {
			return err
		}
		f.open = append(f.open, pull{id, req.MaxBytes})
		f.messages += req.Batch
		f.bytes += req.MaxBytes
	}
	return nil
}

// taken notes that a message of the size was taken.
func (f *prefetch) taken(size int) error {
	f.messages--
	f.bytes -= size
	f.larger = 0
	// A request that ends just as its bytes are used up tells nobody.
	if f.messages > 0 && f.bytes > 0 {
		return nil
	}
	f.open, f.messages, f.bytes = f.open[:0], 0, 0
	return f.fill()
}

// tooLarge is how the server ends a request whose bytes are too few for the
// next message.
const tooLarge = "Message Size Exceeds MaxBytes"

// status judges what the server says of a request. delivered is the number of
// the last message taken.
func (f *prefetch) status(raw *nats.Msg, delivered uint64) error {
	code, text := raw.Header.Get("Status"), raw.Header.Get("Description")
	switch {
	case code == "100":
		if last, err := strconv.ParseUint(raw.Header.Get("Nats-Last-Consumer"), 10, 64); err == nil && last > delivered {
			return fmt.Errorf("%w: heartbeat after delivery %d, taken are %d", ErrMessagesLost, last, delivered)
		}
		return nil
	case code == "408", code == "409" && (text == "Batch Completed" || strings.HasPrefix(text, tooLarge)):
	default:
		return fmt.Errorf("%w: %s %s", ErrConsumerGone, code, text)
	}
	id := strings.TrimPrefix(raw.Subject, f.inbox)
	at := slices.IndexFunc(f.open, func(a pull) bool { return a.id == id })
	if at < 0 {
		return nil
	}
	messages, err := strconv.Atoi(raw.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return fmt.Errorf("%w: %s %s without Nats-Pending-Messages", ErrConsumerGone, code, text)
	}
	bytes, err := strconv.Atoi(raw.Header.Get("Nats-Pending-Bytes"))
	if err != nil {
		return fmt.Errorf("%w: %s %s without Nats-Pending-Bytes", ErrConsumerGone, code, text)
	}
	// A message that a whole request has no room for, since it was stored when
	// the server took larger ones: the next one has twice as much.
	if code == "409" && strings.HasPrefix(text, tooLarge) && bytes >= f.each() {
		if f.larger = 2 * f.each(); f.allowed.bytes > 0 && f.each() == f.allowed.bytes {
			return fmt.Errorf("%w: a message is larger than max_bytes of the consumer, %d, lets a request ask for", ErrConsumerGone, f.allowed.bytes)
		}
	}
	f.open = slices.Delete(f.open, at, at+1)
	f.messages -= messages
	f.bytes -= bytes
	return f.fill()
}

// delivery is what the reply subject of a message tells.
type delivery struct {
	stream, consumer uint64
	at               time.Time
}

// parseReply reads the reply subject of a delivery, of either form:
//
//	$JS.ACK.<stream>.<consumer>.<times>.<stream sequence>.<consumer sequence>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.….<pending>[.<random>]
func parseReply(reply string) (d delivery, err error) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	skip := 0
	switch strings.Count(rest, ".") + 1 {
	case 7:
		skip = 3
	case 9, 10:
		skip = 5
	default:
		ok = false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	var n [3]uint64
	for i := range n {
		var token string
		token, rest, _ = strings.Cut(rest, ".")
		v, err := strconv.ParseUint(token, 10, 64)
		n[i], ok = v, ok && err == nil
	}
	if !ok {
		return d, fmt.Errorf("delivery without a position: reply subject %q", reply)
	}
	return delivery{stream: n[0], consumer: n[1], at: time.Unix(0, int64(n[2]))}, nil
}

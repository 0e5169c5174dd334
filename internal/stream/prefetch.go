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

// Bounds of what a reader holds that was not handed out yet, beside
// Config.PrefetchBytes. A pull request asks for half of it, and two are outstanding
// at a time. Where the server allows only smaller requests, there are more of them
// (prefetch.within).
const (
	maxInFlight = 32 << 10 // messages
	statusSlots = 1 << 10  // for heartbeats and ends of requests, which stop once the requests have expired
)

const (
	heartbeat         = time.Second
	heartbeatTimeout  = 3 * time.Second  // without message or heartbeat while one is expected
	requestExpires    = 30 * time.Second // after that a new request is sent
	inactiveThreshold = 5 * time.Minute  // after that the server removes a consumer without requests
)

// budget returns the most bytes in flight. Half of it has room for any message that
// the server accepts, with its subjects.
func budget(prefetchBytes int, maxPayload int64) int {
	return max(prefetchBytes, 2*int(maxPayload)+1<<20)
}

// prefetch keeps pull requests outstanding, so that messages arrive before they are
// asked for. A message does not say which request it answers, so only the sum of
// what the requests still ask for is known. It belongs to the reader's goroutine.
type prefetch struct {
	// Set when the reader is opened.
	inbox   string                                // answers to a request arrive on inbox + its id
	budget  int                                   // bytes
	request func(reply string, body []byte) error // publishes a pull request
	limits  pullLimits
	atATime int // requests outstanding at a time; 0: two

	// What is outstanding.
	open     []pull // requests that have not ended, as far as is known
	sent     int    // requests so far; the last one's id
	messages int    // asked for and not received yet
	bytes    int    // the same

	oversize int // bytes per request while a message is due that is larger than usual; 0: none is
}

// pull is an outstanding request.
type pull struct {
	id       string
	messages int
	bytes    int
}

// limitTo keeps pull requests within what the consumer allows. Where that is few
// messages each, more requests are outstanding, so that a distant server is not
// waited for after every one of them; each still has room for the largest message.
func (p *prefetch) limitTo(limits pullLimits, maxPayload int64) {
	p.limits = limits
	p.atATime = 2
	if limits.batch > 0 && limits.batch < maxInFlight/2 {
		p.atATime = max(2, min(maxInFlight/limits.batch, p.budget/(int(maxPayload)+1<<19), maxRequests))
	}
}

// maxRequests is far below the number that a consumer keeps waiting (max_waiting,
// 512).
const maxRequests = 32

// requestsAtATime returns how many pull requests are outstanding at a time.
func (p *prefetch) requestsAtATime() int { return max(p.atATime, 2) }

// bytesPerRequest returns how many bytes one pull request asks for.
func (p *prefetch) bytesPerRequest() int {
	n := max(p.budget/p.requestsAtATime(), p.oversize)
	if p.limits.bytes > 0 {
		n = min(n, p.limits.bytes)
	}
	return n
}

// messagesPerRequest returns how many messages one pull request asks for.
func (p *prefetch) messagesPerRequest() int {
	n := maxInFlight / p.requestsAtATime()
	if p.limits.batch > 0 {
		n = min(n, p.limits.batch)
	}
	return n
}

// expires returns how long a pull request lasts.
func (p *prefetch) expires() time.Duration {
	if p.limits.expires > 0 {
		return min(requestExpires, p.limits.expires)
	}
	return requestExpires
}

type pullRequest struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// fill sends pull requests until as many are outstanding as allowed. After an error
// the reader cannot go on.
func (p *prefetch) fill() error {
	for len(p.open) < p.requestsAtATime() {
		req := pullRequest{Expires: p.expires(), Batch: p.messagesPerRequest(), MaxBytes: p.bytesPerRequest(), Heartbeat: min(heartbeat, p.expires()/2)}
		if p.sent < p.requestsAtATime()-1 { // the server serves requests in turns: the first ones must not all end at once
			req.Batch = max(1, req.Batch*(p.sent+1)/p.requestsAtATime())
		}
		body, err := json.Marshal(req)
		if err != nil {
			return err
		}
		p.sent++
		id := strconv.Itoa(p.sent)
		if err := p.request(p.inbox+id, body); err != nil {
			return err
		}
		p.open = append(p.open, pull{id, req.Batch, req.MaxBytes})
		p.messages += req.Batch
		p.bytes += req.MaxBytes
	}
	return nil
}

// taken accounts for a message of this size that was received, and sends new requests
// where none can be outstanding any more.
func (p *prefetch) taken(size int) error {
	p.messages--
	p.bytes -= size
	p.oversize = 0
	// The server sends no status for a request that ends exactly when its bytes are used
	// up.
	if p.messages > 0 && p.bytes > 0 {
		return nil
	}
	p.open, p.messages, p.bytes = p.open[:0], 0, 0
	return p.fill()
}

// tooLarge begins the status by which the server ends a request that has too few
// bytes left for the next message.
const tooLarge = "Message Size Exceeds MaxBytes"

// status handles a status message: a heartbeat, or the end of a pull request, which
// is replaced by a new one. delivered is the consumer sequence of the last message
// received. The error is [ErrMessagesLost] where the heartbeat knows of a later
// delivery, and [ErrConsumerGone] where the server ends the consumer.
func (p *prefetch) status(raw *nats.Msg, delivered uint64) error {
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
	id := strings.TrimPrefix(raw.Subject, p.inbox)
	at := slices.IndexFunc(p.open, func(a pull) bool { return a.id == id })
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
	// Not even a request of full size has room for this message, which was stored when
	// the server accepted larger ones. The next request asks for twice as much.
	if code == "409" && strings.HasPrefix(text, tooLarge) && bytes >= p.bytesPerRequest() {
		if p.oversize = 2 * p.bytesPerRequest(); p.limits.bytes > 0 && p.bytesPerRequest() == p.limits.bytes {
			return fmt.Errorf("%w: a message is larger than max_bytes of the consumer, %d, lets a request ask for", ErrConsumerGone, p.limits.bytes)
		}
	}
	p.open = slices.Delete(p.open, at, at+1)
	p.messages -= messages
	p.bytes -= bytes
	return p.fill()
}

// unheard reports whether a status says that nobody has received a request.
func unheard(raw *nats.Msg) bool {
	return raw.Header.Get("Status") == "503" && raw.Header.Get("Description") == "" && len(raw.Data) == 0
}

// again sends a request anew of which this status says that nobody has received it.
func (p *prefetch) again(raw *nats.Msg) error {
	id := strings.TrimPrefix(raw.Subject, p.inbox)
	if at := slices.IndexFunc(p.open, func(a pull) bool { return a.id == id }); at >= 0 {
		p.messages -= p.open[at].messages
		p.bytes -= p.open[at].bytes
		p.open = slices.Delete(p.open, at, at+1)
	}
	return p.fill()
}

// delivery is what the reply subject of a message says about it.
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

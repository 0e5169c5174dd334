package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/internal/tracing"
	"accountexport/projections"
)

// run is one call of Publish.
type run struct {
	p     *Publisher
	to    sender
	items []Item
	acked func(i int, a Ack)
	trace string // traceparent of messages that have none; empty: they get none

	left     int // items that are not acknowledged
	ready    []*subjectQueue
	waiting  []*subjectQueue          // to be sent again after a pause
	inflight map[uint64]*subjectQueue // by token
	sent     []sent                   // in the order of sending
	bytes    int                      // in flight
	token    uint64                   // last one given out

	searching int               // searches under way
	toSearch  []*subjectQueue   // to be searched for
	searched  chan searchResult // their results

	progress time.Time // of the last acknowledgement
	failing  error     // what was last tried again
	said     time.Time // when that was said
}

// subjectQueue is one subject's items, of which the first one left is ready, in flight,
// searched for, or waiting.
type subjectQueue struct {
	items []int
	last  uint64 // condition: where the subject's last message is
	low   uint64 // up to here none of the items left is in the stream
	tried bool   // the first one left may be after that

	searchAll bool // the first search is for all of them
	settled   bool // it was made: of those left only the first may have been sent

	token uint64
	plain bool      // the first one left is sent without a traceparent, since it is too large with one
	again int       // tries in a row that failed
	from  time.Time // waiting: until then

	duplicate uint64 // of what the server says that the first one left is a retry; 0: nothing

	isNew   bool // this publisher has not seen the subject's last message before
	examine bool // whether the account is erased is to be asked
}

type sent struct {
	token    uint64
	deadline time.Time
}

type searchResult struct {
	queue    *subjectQueue
	position uint64               // where the item is; 0: not there
	erased   *projections.Message // the erased event of the account, where it was asked for
	all      []uint64             // the same for all of the queue's, where they were searched for
	err      error
}

func newRun(p *Publisher, to sender, items []Item, after uint64, acked func(int, Ack)) *run {
	r := &run{p: p, to: to, items: items, acked: acked, left: len(items), inflight: map[uint64]*subjectQueue{}, searched: make(chan searchResult, maxSearches), progress: time.Now()}
	queues := map[string]*subjectQueue{}
	for i, item := range items {
		q := queues[item.Message.Subject]
		if q == nil {
			q = &subjectQueue{low: after, items: []int{i}, tried: item.Tried, searchAll: item.Tried}
			known := false
			q.last, known = p.last.Get(item.Message.Subject)
			q.isNew = !known
			queues[item.Message.Subject] = q
			r.enqueue(q)
			continue
		}
		q.items = append(q.items, i)
	}
	return r
}

// enqueue has a queue's first item sent, or searched for where somebody may have
// sent it.
func (r *run) enqueue(q *subjectQueue) {
	if q.tried {
		r.toSearch = append(r.toSearch, q)
	} else {
		r.ready = append(r.ready, q)
	}
}

// do returns once all is acknowledged, or nothing more can be done; no search is
// under way then.
func (r *run) do(ctx context.Context) (err error) {
	searching, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		for ; r.searching > 0; r.searching-- {
			<-r.searched
		}
	}()
	tick := time.NewTicker(min(100*time.Millisecond, r.p.opt.AnswerTimeout/4+1))
	defer tick.Stop()
	for r.left > 0 {
		if err := r.send(); err != nil {
			return err
		}
		r.startSearches(searching)
		select {
		case a := <-r.to.Answers():
			err = r.answer(a)
		case q := <-r.searched:
			r.searching--
			err = r.takeSearchResult(q)
		case _, open := <-r.to.Lost():
			if !open {
				return errClosed
			}
			r.expire(func(sent) bool { return true })
		case now := <-tick.C:
			err = r.tick(now)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// send sends what is ready and fits.
func (r *run) send() error {
	for len(r.ready) > 0 && len(r.inflight) < r.p.opt.Window && (r.bytes < r.p.opt.Bytes || len(r.inflight) == 0) && r.p.client.Connected() {
		q := r.ready[0]
		r.ready = r.ready[1:]
		item := r.items[q.items[0]]
		r.token++
		q.token = r.token
		r.inflight[q.token] = q
		r.sent = append(r.sent, sent{q.token, time.Now().Add(r.p.opt.AnswerTimeout)})
		r.bytes += size(item)
		if err := r.to.Send(q.token, r.traced(q, item.Message), item.id(), q.last); err != nil {
			r.removeInFlight(q)
			if r.sendPlain(q, err) {
				continue
			}
			if !stream.Passes(err) {
				return &ItemError{q.items[0], err}
			}
			r.searchLater(q, err)
		}
	}
	return nil
}

// traced is a queue's first message with the traceparent of the run, or its own.
func (r *run) traced(q *subjectQueue, m events.Message) events.Message {
	if q.plain {
		m.Header = tracing.WithoutTraceparent(m.Header)
	} else {
		m.Header = tracing.WithTraceparent(m.Header, r.trace)
	}
	return m
}

// sendPlain has a queue's first message sent again without a traceparent, where it was
// refused for its size together with one, the run's or its own: what becomes of a message
// does not depend on that.
func (r *run) sendPlain(q *subjectQueue, err error) bool {
	if q.plain || !stream.RefusesMessage(err) || r.trace == "" && !tracing.HasTraceparent(r.items[q.items[0]].Message.Header) {
		return false
	}
	q.plain = true
	r.ready = append(r.ready, q)
	return true
}

func size(item Item) int { return len(item.Message.Data) + 512 }

// removeInFlight takes a queue's message from those in flight.
func (r *run) removeInFlight(q *subjectQueue) {
	delete(r.inflight, q.token)
	r.bytes -= size(r.items[q.items[0]])
}

// answer takes the server's answer.
func (r *run) answer(a stream.Answer) error {
	q := r.inflight[a.Token]
	if q == nil {
		return nil // it came late, and the message is being searched for, or was found
	}
	r.removeInFlight(q)
	switch {
	case a.Err == nil && !a.Duplicate:
		r.done(q, Ack{Position: a.Position})
	case a.Err == nil:
		q.duplicate = a.Position
		r.toSearch = append(r.toSearch, q)
	case a.Conflict && a.LastKnown && a.Last != q.last:
		q.last = a.Last
		q.examine = r.p.opt.SkipErased && a.Last > 0
		if q.examine || a.Last > q.low { // it may be among what came meanwhile, from here or from another publisher of the same items
			r.toSearch = append(r.toSearch, q)
		} else {
			r.ready = append(r.ready, q)
		}
	case r.sendPlain(q, a.Err):
	case a.Conflict || stream.Passes(a.Err):
		r.searchLater(q, a.Err)
	default:
		return &ItemError{q.items[0], fmt.Errorf("publish on %s: %w", r.items[q.items[0]].Message.Subject, a.Err)}
	}
	return nil
}

// done goes on to a queue's next item.
func (r *run) done(q *subjectQueue, a Ack) {
	if r.ack(q, a); len(q.items) > 0 {
		r.enqueue(q)
	}
}

// ack notes that a queue's first item is there.
func (r *run) ack(q *subjectQueue, a Ack) {
	i := q.items[0]
	// Behind an item that was found there may be the next ones, which another
	// publisher has stored: the condition does not hold then, and they are looked for.
	q.last, q.low = a.Position, max(q.low, a.Position)
	r.p.last.Add(r.items[i].Message.Subject, q.last)
	q.items, q.again, q.duplicate, q.plain = q.items[1:], 0, 0, false
	if r.left--; len(q.items) > 0 {
		q.tried = r.items[q.items[0]].Tried && !q.settled
	}
	r.progress, r.failing = time.Now(), nil
	r.acked(i, a)
}

// searchLater has a queue's first item searched for after a pause: nobody knows what
// became of it.
func (r *run) searchLater(q *subjectQueue, why error) {
	q.tried = true
	q.again++
	q.from = time.Now().Add(min(10*time.Millisecond<<min(q.again-1, 10), time.Second))
	r.waiting = append(r.waiting, q)
	if why != nil {
		r.failing = why
	}
}

// expire takes for lost what was sent and fits, and has it searched for.
func (r *run) expire(over func(sent) bool) {
	for len(r.sent) > 0 && (r.inflight[r.sent[0].token] == nil || over(r.sent[0])) {
		if q := r.inflight[r.sent[0].token]; q != nil {
			r.removeInFlight(q)
			r.searchLater(q, nil)
		}
		r.sent = r.sent[1:]
	}
}

// errClosed is of a client that was closed under the publisher.
var errClosed = errors.New("publish: the connection was closed")

// errNoAnswer is what is said where the server is silent.
var errNoAnswer = errors.New("the server does not answer")

func (r *run) tick(now time.Time) error {
	r.expire(func(s sent) bool { return now.After(s.deadline) })
	connected := r.p.client.Connected()
	kept := r.waiting[:0]
	for _, q := range r.waiting {
		if connected && now.After(q.from) {
			r.toSearch = append(r.toSearch, q)
		} else {
			kept = append(kept, q)
		}
	}
	r.waiting = kept
	silent := now.Sub(r.progress)
	why := r.failing
	if why == nil {
		why = errNoAnswer
	}
	if r.p.opt.ProgressTimeout > 0 && silent > r.p.opt.ProgressTimeout {
		return fmt.Errorf("%w for %v: %w", ErrNoProgress, r.p.opt.ProgressTimeout, why)
	}
	if silent > 5*time.Second && now.Sub(r.said) > silent/2 {
		r.said = now
		r.p.opt.Logger.Warn("nothing is acknowledged; trying again", "for", silent.Round(time.Second), "error", why)
	}
	return nil
}

// startSearches begins searches.
func (r *run) startSearches(ctx context.Context) {
	for len(r.toSearch) > 0 && r.searching < maxSearches {
		q := r.toSearch[0]
		r.toSearch = r.toSearch[1:]
		r.searching++
		i, duplicate, low, all, last, isNew := q.items[0], q.duplicate, q.low, q.items, q.last, q.isNew
		examine := q.examine || r.p.opt.SkipErased && duplicate > 0 // which may be of a message that was erased
		mayBeThere := q.tried || last > low
		if !q.searchAll {
			all = nil
		}
		go func() {
			out := searchResult{queue: q}
			switch {
			case duplicate > 0:
				out.position = duplicate
				out.err = r.p.verify(ctx, i, r.items[i], duplicate)
			case all != nil:
				out.all, out.err = r.p.findAll(ctx, r.items, all, low)
			case mayBeThere:
				out.position, out.err = r.p.findOne(ctx, r.items[i], low)
			}
			removed := (*CollisionError)(nil)
			wasRemoved := errors.As(out.err, &removed) && removed.Other == ""
			if examine && out.all == nil && (wasRemoved || out.err == nil && out.position == 0) {
				event, err := r.p.erased(ctx, r.items[i].Message.Subject, last, isNew || wasRemoved)
				if event != nil || err != nil {
					out = searchResult{queue: q, erased: event, err: err}
				}
			}
			r.searched <- out
		}()
	}
}

// takeSearchResult takes the result of a search.
func (r *run) takeSearchResult(out searchResult) error {
	q := out.queue
	collision := (*CollisionError)(nil)
	switch {
	case errors.As(out.err, &collision), out.err != nil && !stream.Passes(out.err):
		return &ItemError{q.items[0], out.err}
	case out.err != nil:
		r.searchLater(q, out.err)
	case out.erased != nil:
		r.skipErased(q, *out.erased)
	case out.all != nil:
		r.foundAll(q, out.all)
	case out.position > 0:
		r.done(q, Ack{Position: out.position, Found: true})
	default:
		// Up to the condition's position all was looked at. The condition stays:
		// where the subject has got another message since, that is looked at, too.
		q.low = max(q.low, q.last)
		q.examine, q.isNew = false, false
		r.ready = append(r.ready, q)
	}
	return nil
}

// foundAll takes the result of the search for all of a queue's items. Those that
// are there are its first ones, since none was sent before the one before it was
// acknowledged; so of the others only the first may still be on its way. Where
// somebody else has published them, it is as it is, and each is searched for.
func (r *run) foundAll(q *subjectQueue, at []uint64) {
	q.searchAll = false
	n := 0
	for n < len(at) && at[n] > 0 {
		r.ack(q, Ack{Position: at[n], Found: true})
		n++
	}
	if n == len(at) {
		return
	}
	q.settled = !slices.ContainsFunc(at[n:], func(position uint64) bool { return position > 0 })
	if !q.settled {
		r.enqueue(q)
		return
	}
	q.tried = true
	q.low = max(q.low, q.last)
	r.ready = append(r.ready, q)
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"accountexport/internal/stream"
)

// run is one call of Publish.
type run struct {
	p     *Publisher
	to    sender
	items []Item
	acked func(i int, a Ack)

	left     int // items that are not acknowledged
	ready    []*lane
	waiting  []*lane          // to be sent again after a pause
	inflight map[uint64]*lane // by token
	sent     []sent           // in the order of sending
	bytes    int              // in flight
	token    uint64           // last one given out

	looking  int           // searches under way
	doubtful []*lane       // to be searched for
	looked   chan lookedUp // their results

	progress time.Time // of the last acknowledgement
	failing  error     // what was last tried again
	said     time.Time // when that was said
}

// lane is one subject's items, of which the first one left is ready, in flight,
// searched for, or waiting.
type lane struct {
	items []int
	last  uint64 // condition: where the subject's last message is
	low   uint64 // up to here none of the items left is in the stream
	tried bool   // the first one left may be after that

	whole   bool // the first search is for all of them
	settled bool // it was made: of those left only the first may have been sent

	token uint64
	again int       // tries in a row that failed
	from  time.Time // waiting: until then

	duplicate uint64 // of what the server says that the first one left is a retry; 0: nothing
}

type sent struct {
	token    uint64
	deadline time.Time
}

type lookedUp struct {
	lane     *lane
	position uint64   // where the item is; 0: not there
	all      []uint64 // the same for all of the lane's, where they were searched for
	err      error
}

func newRun(p *Publisher, to sender, items []Item, after uint64, acked func(int, Ack)) *run {
	r := &run{p: p, to: to, items: items, acked: acked, left: len(items), inflight: map[uint64]*lane{}, looked: make(chan lookedUp, looks), progress: time.Now()}
	lanes := map[string]*lane{}
	for i, item := range items {
		l := lanes[item.Message.Subject]
		if l == nil {
			l = &lane{low: after, items: []int{i}, tried: item.Tried, whole: item.Tried}
			l.last, _ = p.last.Get(item.Message.Subject)
			lanes[item.Message.Subject] = l
			r.queue(l)
			continue
		}
		l.items = append(l.items, i)
	}
	return r
}

// queue has a lane's first item sent, or searched for where somebody may have
// sent it.
func (r *run) queue(l *lane) {
	if l.tried {
		r.doubtful = append(r.doubtful, l)
	} else {
		r.ready = append(r.ready, l)
	}
}

// do returns once all is acknowledged, or nothing more can be done; no search is
// under way then.
func (r *run) do(ctx context.Context) (err error) {
	searching, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		for ; r.looking > 0; r.looking-- {
			<-r.looked
		}
	}()
	tick := time.NewTicker(min(100*time.Millisecond, r.p.opt.AnswerTimeout/4+1))
	defer tick.Stop()
	for r.left > 0 {
		if err := r.send(); err != nil {
			return err
		}
		r.look(searching)
		select {
		case a := <-r.to.Answers():
			err = r.answer(a)
		case l := <-r.looked:
			r.looking--
			err = r.found(l)
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
		l := r.ready[0]
		r.ready = r.ready[1:]
		item := r.items[l.items[0]]
		r.token++
		l.token = r.token
		r.inflight[l.token] = l
		r.sent = append(r.sent, sent{l.token, time.Now().Add(r.p.opt.AnswerTimeout)})
		r.bytes += size(item)
		if err := r.to.Send(l.token, item.Message, item.id(), l.last); err != nil {
			r.land(l)
			if !stream.Passes(err) {
				return &ItemError{l.items[0], err}
			}
			r.doubt(l, err)
		}
	}
	return nil
}

func size(item Item) int { return len(item.Message.Data) + 512 }

// land takes a lane's message from those in flight.
func (r *run) land(l *lane) {
	delete(r.inflight, l.token)
	r.bytes -= size(r.items[l.items[0]])
}

// answer takes the server's answer.
func (r *run) answer(a stream.Answer) error {
	l := r.inflight[a.Token]
	if l == nil {
		return nil // it came late, and the message is being searched for, or was found
	}
	r.land(l)
	switch {
	case a.Err == nil && !a.Duplicate:
		r.done(l, Ack{Position: a.Position})
	case a.Err == nil:
		l.duplicate = a.Position
		r.doubtful = append(r.doubtful, l)
	case a.Conflict && a.LastKnown && a.Last != l.last:
		l.last = a.Last
		if a.Last > l.low { // it may be among what came meanwhile, from here or from another publisher of the same items
			r.doubtful = append(r.doubtful, l)
		} else {
			r.ready = append(r.ready, l)
		}
	case a.Conflict || stream.Passes(a.Err):
		r.doubt(l, a.Err)
	default:
		return &ItemError{l.items[0], fmt.Errorf("publish on %s: %w", r.items[l.items[0]].Message.Subject, a.Err)}
	}
	return nil
}

// done goes on to a lane's next item.
func (r *run) done(l *lane, a Ack) {
	if r.ack(l, a); len(l.items) > 0 {
		r.queue(l)
	}
}

// ack notes that a lane's first item is there.
func (r *run) ack(l *lane, a Ack) {
	i := l.items[0]
	// Behind an item that was found there may be the next ones, which another
	// publisher has stored: the condition does not hold then, and they are looked for.
	l.last, l.low = a.Position, max(l.low, a.Position)
	r.p.last.Add(r.items[i].Message.Subject, l.last)
	l.items, l.again, l.duplicate = l.items[1:], 0, 0
	if r.left--; len(l.items) > 0 {
		l.tried = r.items[l.items[0]].Tried && !l.settled
	}
	r.progress, r.failing = time.Now(), nil
	r.acked(i, a)
}

// doubt has a lane's first item searched for after a pause: nobody knows what
// became of it.
func (r *run) doubt(l *lane, why error) {
	l.tried = true
	l.again++
	l.from = time.Now().Add(min(10*time.Millisecond<<min(l.again-1, 10), time.Second))
	r.waiting = append(r.waiting, l)
	if why != nil {
		r.failing = why
	}
}

// expire doubts what was sent and fits.
func (r *run) expire(over func(sent) bool) {
	for len(r.sent) > 0 && (r.inflight[r.sent[0].token] == nil || over(r.sent[0])) {
		if l := r.inflight[r.sent[0].token]; l != nil {
			r.land(l)
			r.doubt(l, nil)
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
	for _, l := range r.waiting {
		if connected && now.After(l.from) {
			r.doubtful = append(r.doubtful, l)
		} else {
			kept = append(kept, l)
		}
	}
	r.waiting = kept
	silent := now.Sub(r.progress)
	why := r.failing
	if why == nil {
		why = errNoAnswer
	}
	if r.p.opt.Patience > 0 && silent > r.p.opt.Patience {
		return fmt.Errorf("%w for %v: %w", ErrNoProgress, r.p.opt.Patience, why)
	}
	if silent > 5*time.Second && now.Sub(r.said) > silent/2 {
		r.said = now
		r.p.opt.Logger.Warn("nothing is acknowledged; trying again", "for", silent.Round(time.Second), "error", why)
	}
	return nil
}

// look begins searches.
func (r *run) look(ctx context.Context) {
	for len(r.doubtful) > 0 && r.looking < looks {
		l := r.doubtful[0]
		r.doubtful = r.doubtful[1:]
		r.looking++
		i, duplicate, low, all := l.items[0], l.duplicate, l.low, l.items
		if !l.whole {
			all = nil
		}
		go func() {
			out := lookedUp{lane: l}
			switch {
			case duplicate > 0:
				out.position = duplicate
				out.err = r.p.verify(ctx, i, r.items[i], duplicate)
			case all != nil:
				out.all, out.err = r.p.findAll(ctx, r.items, all, low)
			default:
				out.position, out.err = r.p.findOne(ctx, r.items[i], low)
			}
			r.looked <- out
		}()
	}
}

// found takes the result of a search.
func (r *run) found(out lookedUp) error {
	l := out.lane
	collision := (*CollisionError)(nil)
	switch {
	case errors.As(out.err, &collision), out.err != nil && !stream.Passes(out.err):
		return &ItemError{l.items[0], out.err}
	case out.err != nil:
		r.doubt(l, out.err)
	case out.all != nil:
		r.foundAll(l, out.all)
	case out.position > 0:
		r.done(l, Ack{Position: out.position, Found: true})
	default:
		// Up to the condition's position all was looked at. The condition stays:
		// where the subject has got another message since, that is looked at, too.
		l.low = max(l.low, l.last)
		r.ready = append(r.ready, l)
	}
	return nil
}

// foundAll takes the result of the search for all of a lane's items. Those that
// are there are its first ones, since none was sent before the one before it was
// acknowledged; so of the others only the first may still be on its way. Where
// somebody else has published them, it is as it is, and each is searched for.
func (r *run) foundAll(l *lane, at []uint64) {
	l.whole = false
	n := 0
	for n < len(at) && at[n] > 0 {
		r.ack(l, Ack{Position: at[n], Found: true})
		n++
	}
	if n == len(at) {
		return
	}
	l.settled = !slices.ContainsFunc(at[n:], func(position uint64) bool { return position > 0 })
	if !l.settled {
		r.queue(l)
		return
	}
	l.tried = true
	l.low = max(l.low, l.last)
	r.ready = append(r.ready, l)
}

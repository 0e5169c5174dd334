package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// flow is what became of events that were published at a steady rate, whether or not they were
// visible: an open loop.
type flow struct {
	visible     []time.Duration // from acknowledged to visible
	unpublished float64         // the share of events that could not be published when they were due
	rate        float64         // at which they were published
	behind      int             // acknowledged, and not visible when the last was acknowledged
}

// flow publishes changes of the accounts in turn, and waits until all are visible. That an event
// is visible is seen by the checkpoint of its account's partition, which is read every
// millisecond: a document is committed with its checkpoint.
func (s *stack) flow(b *testing.B, ids []events.UUID, perSecond int, span time.Duration) (f flow) {
	b.Helper()
	partitions := s.partitionsOf(b)
	js := s.jetStream(b)
	type sent struct {
		partition    int
		position     uint64
		acknowledged time.Time
	}
	due := int(span.Seconds() * float64(perSecond))
	acks, published := make(chan sent, due), make(chan int, 1)
	go func() {
		futures := make(chan struct {
			partition int
			jetstream.PubAckFuture
		}, 20_000)
		began := time.Now()
		go func() {
			defer close(futures)
			n := 0
			for ; n < due; n++ {
				at := began.Add(time.Duration(n) * time.Second / time.Duration(perSecond))
				if wait := time.Until(at); wait > 0 {
					time.Sleep(wait)
				}
				if time.Since(began) > span+span/4 { // it is far too late for those that are left
					break
				}
				id := ids[n%len(ids)]
				m, err := change(id, n)
				if err != nil {
					b.Error(err)
					break
				}
				ack, err := js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
				if err != nil {
					b.Error(err)
					break
				}
				futures <- struct {
					partition int
					jetstream.PubAckFuture
				}{partitions[id], ack}
			}
			published <- n
		}()
		defer close(acks)
		for next := range futures {
			select {
			case ack := <-next.Ok():
				acks <- sent{next.partition, ack.Sequence, time.Now()}
			case err := <-next.Err():
				b.Error(err)
				return
			}
		}
		f.rate = float64(<-published) / time.Since(began).Seconds()
	}()
	var mu sync.Mutex
	waiting, left, ended := map[int][]sent{}, 0, false
	received := make(chan struct{})
	go func() {
		defer close(received)
		for a := range acks {
			mu.Lock()
			waiting[a.partition] = append(waiting[a.partition], a)
			left++
			mu.Unlock()
		}
		mu.Lock()
		f.behind, ended = left, true
		mu.Unlock()
	}()
	for {
		positions := s.checkpoints(b)
		now := time.Now()
		mu.Lock()
		for p, list := range waiting {
			for len(list) > 0 && list[0].position <= positions[p] {
				f.visible = append(f.visible, now.Sub(list[0].acknowledged))
				list, left = list[1:], left-1
			}
			waiting[p] = list
		}
		over := ended && left == 0
		mu.Unlock()
		if over {
			break
		}
		time.Sleep(time.Millisecond)
	}
	<-received
	f.unpublished = 1 - float64(len(f.visible))/float64(due)
	return f
}

// partitionsOf is the partition of each account.
func (s *stack) partitionsOf(b *testing.B) map[events.UUID]int {
	b.Helper()
	rows, err := s.pool.Query(b.Context(), `SELECT `+ours+` account_id, partition FROM export_g1.account_export`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	all := map[events.UUID]int{}
	for rows.Next() {
		var id [16]byte
		var p int
		if err := rows.Scan(&id, &p); err != nil {
			b.Fatal(err)
		}
		all[id] = p
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// checkpoints are the positions of all partitions.
func (s *stack) checkpoints(b *testing.B) map[int]uint64 {
	b.Helper()
	rows, err := s.pool.Query(b.Context(), `SELECT `+ours+` partition, position FROM export.checkpoints WHERE generation = 1`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	all := map[int]uint64{}
	for rows.Next() {
		var p int
		var position int64
		if err := rows.Scan(&p, &position); err != nil {
			b.Fatal(err)
		}
		all[p] = uint64(position)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return all
}

// jetStream is a connection of its own, by which much may be published without waiting for
// acknowledgements.
func (s *stack) jetStream(b testing.TB) jetstream.JetStream {
	b.Helper()
	nc, err := nats.Connect(s.nats.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(20_000))
	if err != nil {
		b.Fatal(err)
	}
	return js
}

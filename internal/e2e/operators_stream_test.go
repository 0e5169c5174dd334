package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func (p *simulation) transform(to *jetstream.SubjectTransformConfig) {
	p.t.Helper()
	p.updateStream(p.t, func(c *jetstream.StreamConfig) { c.SubjectTransform = to })
}

// transformOff has messages stored without a partition, for a while.
func (p *simulation) transformOff() {
	p.transform(nil)
	time.Sleep(time.Duration(p.rng.IntN(1500)) * time.Millisecond)
	select {
	case err := <-p.projector.done: // it has seen it: whoever reads what it says mends it
		p.projector.done <- err
	default:
		p.transform(partitioned(16))
	}
}

// partitionsOff: the subject transform is gone, or has another number, until the
// projector refuses.
func (p *simulation) partitionsOff() {
	if p.rng.IntN(2) == 0 {
		p.transform(nil)
	} else {
		p.transform(partitioned(8))
	}
	p.projector.wait()
}

// moveStream has a mirror take the stream's place, under another name.
func (p *simulation) moveStream(name string) {
	p.t.Helper()
	p.createMirror(p.t, name)
	p.promote(p.t, name)
	p.publisher = p.client
}

// promoteMirror has a mirror take the stream's place, under a name of its own.
func (p *simulation) promoteMirror() {
	name := "MIRROR_A"
	if p.streamName() == name {
		name = "MIRROR_B"
	}
	p.withoutTraffic(func() { p.moveStream(name) })
	p.projector.kill()
	p.start()
	p.restoreBackup = nil // of the stream that was
}

// copyStream puts another stream in the place of the one that was, under its name,
// which holds the same at the same positions.
func (p *simulation) copyStream() {
	p.stop()
	p.withoutTraffic(func() {
		was := p.streamName()
		p.moveStream("MEANWHILE")
		p.moveStream(was)
	})
	p.start()
}

// recreateStream puts a stream in its place that holds the same at other positions,
// but the first message, and has come as far as the other one.
func (p *simulation) recreateStream() {
	p.stop()
	p.withoutTraffic(func() {
		had := p.last()
		p.recreateWith(p.t, p.readMessages(p.t)[1:])
		p.publishTiers() // the first message may have been that
		for p.last() <= had {
			p.noError(p.publishActivity(p.t.Context(), p.randomPerson()))
		}
	})
	p.start()
}

// last is where the stream ends.
func (p *simulation) last() uint64 {
	p.t.Helper()
	info, err := p.client.Info(p.t.Context())
	p.noError(err)
	return info.Last
}

// waitGrowth waits until the stream has grown beyond a position.
func (p *simulation) waitGrowth(beyond uint64) {
	p.t.Helper()
	eventually(p.t, "the stream to grow", time.Minute, func(ctx context.Context) error {
		info, err := p.client.Info(ctx)
		if err == nil && info.Last <= beyond {
			err = fmt.Errorf("it ends at %d of %d", info.Last, beyond)
		}
		return err
	})
}

// loseTheBeginning purges the stream's beginning, with what nobody has read. Once
// that is accepted the documents stay. Of what the stream holds they could not be
// made again, so that who is there then begins anew, and this is said to be meant.
func (p *simulation) loseTheBeginning() {
	p.stop()
	p.waitGrowth(p.last() + 20)
	p.withoutTraffic(func() {
		p.purge(p.t, p.last()-4)
	})
	p.start()
	p.recoverByAdvice()
	p.check()
	p.publishTiers()
	for range 6 {
		p.addPerson()
	}
	p.must("rebuild", "--accept-differences")
	p.lossAccepted = true
	p.databaseBackup = "" // of documents that nobody can make any more
}

// purgeByHand removes an account's messages with NATS's own means, and then
// erases it.
func (p *simulation) purgeByHand() {
	h := p.chooseToErase()
	p.noError(p.stream(p.t).Purge(p.t.Context(), jetstream.WithPurgeSubject("controlplane.*.account."+h.id.String())))
	p.recoverByAdvice()
	p.erase(h)
}

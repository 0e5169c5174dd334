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

// transformOff removes the subject transform for a while, so that messages have no partition.
func (p *simulation) transformOff() {
	p.transform(nil)
	time.Sleep(time.Duration(p.rng.IntN(1500)) * time.Millisecond)
	select {
	case err := <-p.projector.done: // it has noticed and refused; its advice restores the transform
		p.projector.done <- err
	default:
		p.transform(partitioned(16))
	}
}

// partitionsOff removes the subject transform, or changes the number of partitions, until the
// projector refuses.
func (p *simulation) partitionsOff() {
	if p.rng.IntN(2) == 0 {
		p.transform(nil)
	} else {
		p.transform(partitioned(8))
	}
	p.projector.wait()
}

// moveStream puts a mirror with another name in the stream's place.
func (p *simulation) moveStream(name string) {
	p.t.Helper()
	p.createMirror(p.t, name)
	p.promote(p.t, name)
	p.publisher = p.client
}

// promoteMirror puts a mirror in the stream's place.
func (p *simulation) promoteMirror() {
	name := "MIRROR_A"
	if p.streamName() == name {
		name = "MIRROR_B"
	}
	p.withoutTraffic(func() { p.moveStream(name) })
	p.projector.kill()
	p.start()
	p.restoreBackup = nil // the backup is of the former stream
}

// copyStream replaces the stream by a copy with the same name, messages and positions.
func (p *simulation) copyStream() {
	p.stop()
	p.withoutTraffic(func() {
		was := p.streamName()
		p.moveStream("MEANWHILE")
		p.moveStream(was)
	})
	p.start()
}

// recreateStream replaces the stream by one that lacks the first message, and so has the others at
// other positions, and that is longer than the former.
func (p *simulation) recreateStream() {
	p.stop()
	p.withoutTraffic(func() {
		had := p.last()
		p.recreateWith(p.t, p.readMessages(p.t)[1:])
		p.publishTiers() // the first message may have defined the tier
		for p.last() <= had {
			p.noError(p.publishActivity(p.t.Context(), p.randomPerson()))
		}
	})
	p.start()
}

// last is the stream's last position.
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

// loseTheBeginning purges the stream's beginning with messages that were not read yet. Once that
// loss is accepted the documents stay, although the stream no longer holds what made them. Then
// they are given up by a rebuild that accepts differences.
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
	p.databaseBackup = "" // its documents cannot be made from the stream any more
}

// purgeByHand purges an account's messages as `nats stream purge` does, and then erases it.
func (p *simulation) purgeByHand() {
	h := p.chooseToErase()
	p.noError(p.stream(p.t).Purge(p.t.Context(), jetstream.WithPurgeSubject("controlplane.*.account."+h.id.String())))
	p.recoverByAdvice()
	p.erase(h)
}

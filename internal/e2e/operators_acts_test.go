package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// act is something that an operator does, or that happens to the system.
type act struct {
	name    string
	do      func()
	refused int // the only exit status with which `run` refuses after it, once; or never or maybe
}

const (
	never = 0  // `run` does not refuse
	maybe = -1 // whether `run` refuses depends on earlier acts
)

// acts are all kinds of acts.
func (p *simulation) acts() []act {
	return []act{
		{"erase", func() { p.erase(p.chooseToErase()) }, never},
		{"erase several at once", p.eraseSeveral, never},
		{"erase during a rebuild", p.eraseDuringRebuild, never},
		{"erase elsewhere", p.eraseByControlPlane, never},
		{"rebuild", func() { p.must("rebuild") }, never},
		{"rebuild, killed", p.rebuildKilled, never},
		{"rebuild, anew", func() { p.must("rebuild", "--restart") }, never},
		{"rebuilds at once", p.rebuildsAtOnce, never},
		{"cut over by hand", p.cutOver, never},
		{"roll back", p.rollBack, never},
		{"drop", p.drop, never},
		{"refold", func() { p.must("refold", "--account", p.randomPerson().id.String()) }, never},
		{"lose a row", p.loseRow, never},
		{"retry", func() { p.must("parked", "retry", "--all") }, never},
		{"verify", func() { p.must("verify", "--all") }, never},
		{"provision", func() { p.must("provision") }, never},
		{"accept nothing", func() { p.must("accept") }, never},
		{"back up the stream", p.backUpStream, never},
		{"restore the stream", p.restoreStream, maybe},
		{"back up the database", p.backUpDatabase, never},
		{"restore the database", p.restoreDatabase, maybe},
		{"restore both", p.restoreBoth, 17},
		{"purge by hand", p.purgeByHand, 18},
		{"transform off for a while", p.transformOff, maybe},
		{"partitions off", p.partitionsOff, 15},
		{"promote a mirror", p.promoteMirror, 11},
		{"copy the stream", p.copyStream, 12},
		{"recreate the stream", p.recreateStream, 12},
		{"lose the end", p.loseTheEnd, 13},
		{"lose the end unseen", p.loseTheEndUnseen, 16},
		{"lose the beginning", p.loseTheBeginning, 14},
		{"another program", p.anotherProgram, 10},
		{"pause", p.pause, never},
		{"kill the projector", func() { p.projector.kill(); p.start() }, never},
	}
}

func (p *simulation) randomPerson() *person {
	living := p.activePeople()
	return living[p.rng.IntN(len(living))]
}

// erase erases accounts of which nothing more is published, and exports the ledger, so that no loss
// of the database loses it.
func (p *simulation) erase(who ...*person) {
	p.t.Helper()
	var all sync.WaitGroup
	for _, h := range who {
		if p.rng.IntN(2) == 0 {
			p.stray(h)
		}
		all.Go(func() {
			out, status := p.operate("erase", "--account", h.id.String())
			if status != 0 {
				p.t.Errorf("erase %s: exit %d: %s", h.id, status, out)
				return
			}
			p.receipts.Lock()
			defer p.receipts.Unlock()
			p.receipts.of = append(p.receipts.of, h)
		})
	}
	all.Wait()
	p.exportLedger()
}

func (p *simulation) exportLedger() {
	p.t.Helper()
	p.ledger = p.must("erasures", "export")
}

// stray publishes a message about a person on a mistyped subject.
func (p *simulation) stray(h *person) {
	p.t.Helper()
	p.withoutTraffic(func() {
		if _, err := p.publisher.PublishRaw(p.t.Context(), h.mistyped()); err != nil {
			p.t.Error(err)
		}
	})
}

func (p *simulation) eraseSeveral() {
	h := p.chooseToErase()
	p.erase(h, h, p.chooseToErase())
}

// eraseByControlPlane: the control plane publishes an erasure, and a rebuild reads it before the
// live generation does. It has to be on the ledger. `erase` removes the account's other messages.
func (p *simulation) eraseByControlPlane() {
	h := p.chooseToErase()
	p.stop()
	_, err := p.client.PublishErased(p.t.Context(), h.id, time.Now())
	p.noError(err)
	p.must("rebuild")
	if p.exportLedger(); !strings.Contains(p.ledger, h.id.String()) {
		p.t.Errorf("%s was erased by the control plane, and is not on the ledger", h.id)
	}
	p.start()
	p.recoverByAdvice()
	p.erase(h)
}

// eraseDuringRebuild erases while a rebuild is at work, which either continues or says that it was
// given up.
func (p *simulation) eraseDuringRebuild() {
	h := p.chooseToErase()
	rebuild := launch(p.t, "projector", p.settings, "rebuild", "--max-rate", fmt.Sprint(p.last()/2+100))
	time.Sleep(time.Duration(p.rng.IntN(2000)) * time.Millisecond)
	p.erase(h)
	if rebuild.wait() != 0 {
		p.followAdvice(rebuild.out.tail(1 << 16))
	}
}

func (p *simulation) rebuildKilled() {
	rebuild := launch(p.t, "projector", p.settings, "rebuild")
	time.Sleep(time.Duration(p.rng.IntN(600)) * time.Millisecond)
	rebuild.kill()
	if p.rng.IntN(2) == 0 { // the killed rebuild does not continue
		p.erase(p.chooseToErase())
	}
	p.must("rebuild")
}

func (p *simulation) rebuildsAtOnce() {
	first := launch(p.t, "projector", p.settings, "rebuild")
	second := launch(p.t, "projector", p.settings, "rebuild")
	if first.wait() != 0 && second.wait() != 0 {
		p.t.Errorf("neither rebuild ends well: %s; %s", first.out.tail(2000), second.out.tail(2000))
	}
	second.wait()
}

func (p *simulation) cutOver() {
	p.must("rebuild", "--cutover=manual")
	p.must("cutover")
}

var generationLine = regexp.MustCompile(`(?m)^(\d+)\s+(\w+)`)

// generations lists the numbers of the generations in a state.
func (p *simulation) generations(state string) (out []string) {
	p.t.Helper()
	for _, m := range generationLine.FindAllStringSubmatch(p.must("generations", "list"), -1) {
		if m[2] == state {
			out = append(out, m[1])
		}
	}
	return out
}

// rollBack rolls back to a generation of this stream.
func (p *simulation) rollBack() {
	p.must("rebuild")
	p.must("rollback")
}

// loseRow deletes a row of the live generation while events come, which may restore it. Otherwise
// the command that `verify` names restores it.
func (p *simulation) loseRow() {
	h, live := p.randomPerson(), p.generations("live")[0]
	_, err := p.pool.Exec(p.t.Context(), `DELETE FROM export_g`+live+`.account_export WHERE account_id = $1`, [16]byte(h.id))
	p.noError(err)
	if out, status := p.operate("verify", "--account", h.id.String()); status != 0 {
		p.followAdvice(out)
	}
	p.must("verify", "--account", h.id.String())
}

func (p *simulation) drop() {
	for _, state := range []string{"retired", "failed"} {
		for _, number := range p.generations(state) {
			p.must("generations", "drop", number)
		}
	}
}

// noError ends the test after an error.
func (p *simulation) noError(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// pause pauses projecting. Commands that would wait for it are refused, and what they advise ends
// the pause.
func (p *simulation) pause() {
	p.must("pause", "--note", "people")
	if p.rng.IntN(2) == 0 {
		p.must("pause")
	}
	p.must("status")
	if p.rng.IntN(2) == 0 {
		p.refusedThenAdvised("rebuild")
		return
	}
	h := p.chooseToErase()
	p.refusedThenAdvised("erase", "--account", h.id.String())
	p.erase(h)
}

// refusedThenAdvised runs a command that has to exit with 1, and follows its advice.
func (p *simulation) refusedThenAdvised(args ...string) {
	p.t.Helper()
	out, status := p.operate(args...)
	if status != 1 {
		p.t.Errorf("%v: exit %d, want 1: %s", args, status, lastLines(out))
	}
	p.followAdvice(out)
}

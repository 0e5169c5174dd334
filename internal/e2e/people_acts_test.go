package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

// act is something that an operator does.
type act struct {
	name string
	do   func()
}

func (p *crowd) acts() []act {
	return []act{
		{"erase", func() { p.erase(p.leaves()) }},
		{"erase several at once", p.eraseSeveral},
		{"erase during a rebuild", p.eraseDuringRebuild},
		{"rebuild", func() { p.must("rebuild") }},
		{"rebuild, killed", p.rebuildKilled},
		{"rebuild, anew", func() { p.must("rebuild", "--restart") }},
		{"rebuilds at once", p.rebuildsAtOnce},
		{"cut over by hand", p.cutOver},
		{"roll back", p.rollBack},
		{"drop", p.drop},
		{"refold", func() { p.must("refold", "--account", p.anybody().id.String()) }},
		{"retry", func() { p.must("parked", "retry", "--all") }},
		{"verify", func() { p.must("verify", "--all") }},
		{"provision", func() { p.must("provision") }},
		{"accept nothing", func() { p.must("accept") }},
		{"back up the stream", p.backUpStream},
		{"restore the stream", p.restoreStream},
		{"back up the database", p.backUpDatabase},
		{"restore the database", p.restoreDatabase},
		{"purge by hand", p.purgeByHand},
		{"transform off", p.transformOff},
		{"promote a mirror", p.promoteMirror},
		{"pause", p.pause},
		{"kill the projector", func() { p.projector.kill(); p.run() }},
	}
}

func (p *crowd) anybody() *person {
	living := p.living()
	return living[p.rng.IntN(len(living))]
}

// erase erases an account of which nothing more is published, and puts the
// ledger where no loss of the database reaches.
func (p *crowd) erase(who ...*person) {
	p.t.Helper()
	var all sync.WaitGroup
	for _, h := range who {
		if p.rng.IntN(2) == 0 {
			p.stray(h)
		}
		all.Go(func() {
			if out, status := p.operate("erase", "--account", h.id.String()); status != 0 {
				p.t.Errorf("erase %s: exit %d: %s", h.id, status, out)
			}
		})
	}
	all.Wait()
	p.exportLedger()
}

func (p *crowd) exportLedger() {
	p.t.Helper()
	p.ledger = p.must("erasures", "export")
}

// stray publishes a message of an account on a mistyped subject.
func (p *crowd) stray(h *person) {
	p.t.Helper()
	m := events.Message{Subject: "controlplane.account.x" + h.id.String(), Data: []byte(`{"email":"` + h.email() + `"}`)}
	p.withoutTraffic(func() {
		if _, err := p.publisher.PublishRaw(p.t.Context(), m); err != nil {
			p.t.Error(err)
		}
	})
}

func (p *crowd) eraseSeveral() {
	h := p.leaves()
	p.erase(h, h, p.leaves())
}

// eraseDuringRebuild: the rebuild goes on, or has been given up by the erasure,
// and says so.
func (p *crowd) eraseDuringRebuild() {
	h := p.leaves()
	rebuild := launch(p.t, "projector", p.settings, "rebuild", "--max-rate", "400")
	time.Sleep(time.Duration(p.rng.IntN(700)) * time.Millisecond)
	p.erase(h)
	if rebuild.wait() != 0 {
		p.follow(rebuild.out.tail(1 << 16))
	}
}

func (p *crowd) rebuildKilled() {
	rebuild := launch(p.t, "projector", p.settings, "rebuild")
	time.Sleep(time.Duration(p.rng.IntN(600)) * time.Millisecond)
	rebuild.kill()
	if p.rng.IntN(2) == 0 { // nobody goes on with it
		p.erase(p.leaves())
	}
	p.must("rebuild")
}

func (p *crowd) rebuildsAtOnce() {
	first := launch(p.t, "projector", p.settings, "rebuild")
	second := launch(p.t, "projector", p.settings, "rebuild")
	if first.wait() != 0 && second.wait() != 0 {
		p.t.Errorf("neither rebuild ends well: %s; %s", first.out.tail(2000), second.out.tail(2000))
	}
	second.wait()
}

func (p *crowd) cutOver() {
	p.must("rebuild", "--cutover=manual")
	p.must("cutover")
}

var oneOf = regexp.MustCompile(`(?m)^(\d+)\s+(\w+)`)

// generations lists the numbers of those in a state.
func (p *crowd) generations(state string) (out []string) {
	p.t.Helper()
	for _, m := range oneOf.FindAllStringSubmatch(p.must("generations", "list"), -1) {
		if m[2] == state {
			out = append(out, m[1])
		}
	}
	return out
}

// rollBack goes back to the generation before, where it is of this stream.
func (p *crowd) rollBack() {
	p.must("rebuild")
	p.must("rollback")
}

func (p *crowd) drop() {
	for _, state := range []string{"retired", "failed"} {
		for _, number := range p.generations(state) {
			p.must("generations", "drop", number)
		}
	}
}

func (p *crowd) backUpStream() {
	p.withoutTraffic(func() {
		p.streamBackup = p.t.TempDir()
		p.nats.Halt()
		p.must2(os.CopyFS(p.streamBackup, os.DirFS(p.nats.Dir())))
		p.must2(p.nats.Restart(p.t.Context()))
	})
}

func (p *crowd) must2(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// restoreStream puts the stream back to where it was, and the erased with it.
func (p *crowd) restoreStream() {
	if p.streamBackup == "" {
		p.backUpStream()
		p.erase(p.leaves())
	}
	p.withoutTraffic(func() {
		p.nats.Halt()
		p.must2(os.RemoveAll(p.nats.Dir()))
		p.must2(os.CopyFS(p.nats.Dir(), os.DirFS(p.streamBackup)))
		p.must2(p.nats.Restart(p.t.Context()))
	})
}

func (p *crowd) backUpDatabase() {
	p.databaseBackup = filepath.Join(p.t.TempDir(), "dump")
	if out, err := p.pg15("pg_dump", "-Fc", "-f", p.databaseBackup, p.database).CombinedOutput(); err != nil {
		p.t.Fatalf("pg_dump: %v: %s", err, out)
	}
}

// restoreDatabase does what the README says: the API is kept stopped, the ledger
// is imported, and whatever is said is done before it starts again.
func (p *crowd) restoreDatabase() {
	if p.databaseBackup == "" {
		p.backUpDatabase()
		p.erase(p.leaves())
	}
	p.exportLedger()
	p.projector.kill()
	p.api.kill()
	if _, err := p.pool.Exec(p.t.Context(), `
DO $$ DECLARE s text; BEGIN
    FOR s IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^export' LOOP EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP;
END $$`); err != nil {
		p.t.Fatal(err)
	}
	if out, err := p.pg15("pg_restore", "-d", p.database, p.databaseBackup).CombinedOutput(); err != nil {
		p.t.Fatalf("pg_restore: %v: %s", err, out)
	}
	p.pool.Reset()
	file := filepath.Join(p.t.TempDir(), "ledger")
	p.must2(os.WriteFile(file, []byte(p.ledger), 0o600))
	if out, status := p.operate("provision"); status != 0 && status < 10 { // it migrates whatever it says of the stream
		p.t.Errorf("provision: exit %d: %s", status, lastLines(out))
	}
	p.must("erasures", "import", file)
	p.run()
	p.heal()
	p.startAPI()
}

// purgeByHand removes an account's messages with NATS's own means, and then
// erases it.
func (p *crowd) purgeByHand() {
	h := p.leaves()
	st, err := jetStream(p.t, p.nats.URL()).Stream(p.t.Context(), p.streamName())
	p.must2(err)
	p.must2(st.Purge(p.t.Context(), jetstream.WithPurgeSubject("controlplane.*.account."+h.id.String())))
	p.heal()
	p.erase(h)
}

func (p *crowd) configure(change func(*jetstream.StreamConfig)) {
	p.t.Helper()
	js := jetStream(p.t, p.nats.URL())
	st, err := js.Stream(p.t.Context(), p.streamName())
	p.must2(err)
	cfg := st.CachedInfo().Config
	change(&cfg)
	_, err = js.UpdateStream(p.t.Context(), cfg)
	p.must2(err)
}

var partitioned = &jetstream.SubjectTransformConfig{Source: "controlplane.*.*",
	Destination: "controlplane.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"}

func (p *crowd) restoreTransform() {
	p.t.Helper()
	p.configure(func(c *jetstream.StreamConfig) { c.SubjectTransform = partitioned })
}

// transformOff has messages stored without a partition, for a while.
func (p *crowd) transformOff() {
	p.configure(func(c *jetstream.StreamConfig) { c.SubjectTransform = nil })
	time.Sleep(time.Duration(p.rng.IntN(1500)) * time.Millisecond)
	select {
	case err := <-p.projector.done: // it has seen it: whoever reads what it says mends it
		p.projector.done <- err
	default:
		p.restoreTransform()
	}
}

// promoteMirror has a mirror take the stream's place, under a name of its own.
func (p *crowd) promoteMirror() {
	js := jetStream(p.t, p.nats.URL())
	name, was := "MIRROR_A", p.streamName()
	if was == name {
		name = "MIRROR_B"
	}
	p.withoutTraffic(func() {
		info, err := p.client.Info(p.t.Context())
		p.must2(err)
		st, err := js.Stream(p.t.Context(), was)
		p.must2(err)
		cfg := st.CachedInfo().Config
		mirror, err := js.CreateStream(p.t.Context(), jetstream.StreamConfig{Name: name, Mirror: &jetstream.StreamSource{Name: was},
			AllowDirect: cfg.AllowDirect, MirrorDirect: cfg.AllowDirect, Metadata: cfg.Metadata})
		p.must2(err)
		for state := mirror.CachedInfo().State; state.LastSeq < info.Last; {
			time.Sleep(20 * time.Millisecond)
			now, err := mirror.Info(p.t.Context())
			p.must2(err)
			state = now.State
		}
		p.must2(js.DeleteStream(p.t.Context(), was))
		cfg.Name, cfg.Mirror, cfg.MirrorDirect = name, nil, false
		_, err = js.UpdateStream(p.t.Context(), cfg)
		p.must2(err)
		p.settings["STREAM"] = name
		p.connect()
	})
	p.projector.kill()
	p.run()
	p.streamBackup = "" // of the stream that was
}

// pause has nobody project for a while; who would wait for it is told so, and
// what that names ends it.
func (p *crowd) pause() {
	p.must("pause", "--note", "people")
	if p.rng.IntN(2) == 0 {
		p.must("pause")
	}
	p.must("status")
	if p.rng.IntN(2) == 0 {
		p.refuses("rebuild")
		return
	}
	h := p.leaves()
	p.refuses("erase", "--account", h.id.String())
	p.erase(h)
}

// refuses runs a command that has to end with 1, and does what it advises.
func (p *crowd) refuses(args ...string) {
	p.t.Helper()
	out, status := p.operate(args...)
	if status != 1 {
		p.t.Errorf("%v: exit %d, want 1: %s", args, status, lastLines(out))
	}
	p.follow(out)
}

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// TestPeople lets people do what people do, in a seeded random order, beside
// traffic: erase, rebuild, cut over, roll back, refold, back up and restore,
// purge by hand, edit the stream. Every refusal is answered by the first command
// that it names. It holds that no trace of an account is left after its receipt,
// that no complete document grows worse unless somebody has said that it may,
// that every refusal ends by what it advises, and that every command ends.
//
// At length it makes 150 acts at least, each kind five times at least.
func TestPeople(t *testing.T) {
	t.Parallel()
	seed := testrun.Seed(t)
	p := newCrowd(t, seed)
	atLeast, rounds := 1, 0
	if testrun.Long() {
		atLeast, rounds = 5, 60
	}
	acts := p.acts()
	var order []act
	for range atLeast {
		order = append(order, acts...)
	}
	for range rounds {
		order = append(order, acts[p.rng.IntN(len(acts))])
	}
	p.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if only := os.Getenv("ACTS"); only != "" { // these alone, in this order, to look into one
		acts, order = nil, nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(p.acts(), func(a act) bool { return a.name == name })
			if i < 0 {
				t.Fatalf("ACTS: there is no act %q", name)
			}
			order = append(order, p.acts()[i])
		}
	}
	for i, a := range order {
		p.does(i, a)
		if t.Failed() {
			break
		}
	}
	p.end()
	t.Logf("SEED=%d: %d acts, %v; refusals by exit status %v; advice followed %v; %d accounts, %d of them erased",
		seed, len(order), p.done, p.refused, p.followed, len(p.everybody), p.erasedCount())
	for _, a := range acts {
		if p.done[a.name] < atLeast {
			t.Errorf("%s was done %d times, want %d", a.name, p.done[a.name], atLeast)
		}
	}
}

// person is an account, with a word that is in all that is published of it.
type person struct {
	id       events.UUID
	marker   string
	token    string
	seq      int
	position uint64 // last seen in an answer
	complete bool
	erased   bool
}

func (h *person) email() string { return h.marker + "@people.example" }

// crowd is the system, its people and its operators.
type crowd struct {
	*system
	t   *testing.T
	rng *rand.Rand

	projector, api *process
	serve          string
	done, followed map[string]int
	refused        map[int]int
	loose          bool // whether somebody has said that documents may grow worse
	streamBackup   string
	databaseBackup string
	ledger         string

	mu        sync.Mutex // held while something is published, and by who must not be published beside
	everybody []*person
	publisher *stream.Client
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	t.Helper()
	p := &crowd{system: newSystem(t), t: t, rng: rand.New(rand.NewPCG(seed, 7)), serve: freeAddr(t),
		done: map[string]int{}, followed: map[string]int{}, refused: map[int]int{}}
	p.settings["AUDIT_RATE"] = "0"
	p.settings["TAKEOVER_AFTER"] = "1s"
	p.publisher = p.client
	p.startAPI()
	p.publishTiers()
	for range 8 {
		p.join()
	}
	p.run()
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { p.traffic(ctx) })
	t.Cleanup(func() {
		stop()
		traffic.Wait()
	})
	p.heal()
	p.check()
	return p
}

func (p *crowd) run() { p.projector = launch(p.t, "projector", p.settings, "run") }

func (p *crowd) startAPI() {
	p.api = launch(p.t, "api", map[string]string{"DATABASE_URL": p.database, "HTTP_ADDR": p.serve, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
}

func (p *crowd) publishTiers() {
	p.t.Helper()
	m, err := events.NewQuotaTierDefined(p.meta("tier"), events.QuotaTierDefined{ID: "free", DisplayName: "Free"})
	if err == nil {
		_, err = p.publisher.PublishRaw(p.t.Context(), m)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *crowd) meta(id string) events.Meta {
	return events.Meta{ID: fmt.Sprint(id, "-", time.Now().UnixNano()), Source: "/people", Time: events.TimeOf(time.Now())}
}

// join has a new account registered, complete, with a message that is parked.
func (p *crowd) join() *person {
	p.t.Helper()
	var id events.UUID
	for i := range id {
		id[i] = byte(p.rng.UintN(256))
	}
	id[6], id[8] = 0x40|id[6]&15, 0x80|id[8]&63
	h := &person{id: id, marker: "zq" + hex.EncodeToString(id[:6])}
	var err error
	if h.token, err = authtest.Mint(jwtSecret, issuer, id, h.email(), 24*time.Hour); err != nil {
		p.t.Fatal(err)
	}
	user, err := events.NewUserRegistered(p.meta("u"), id, events.UserRegistered{Email: h.email(), Tier: "t", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	team, err := events.NewTeamCreated(p.meta("t"), id, events.TeamCreated{ID: id, Name: h.marker, Slug: "s", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	// A second team is parked.
	second, err := events.NewTeamCreated(p.meta("t2"), id, events.TeamCreated{ID: events.UUID{9}, Name: h.marker, Slug: "s", QuotaTierID: "free"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range []events.Message{user, team, second} {
		if _, err := p.publisher.PublishRaw(p.t.Context(), m); err != nil {
			p.t.Fatal(err)
		}
	}
	p.everybody = append(p.everybody, h)
	return h
}

// traffic publishes what the living do, until ctx ends. What cannot be published
// is not.
func (p *crowd) traffic(ctx context.Context) {
	rng := rand.New(rand.NewPCG(1, 2))
	for ctx.Err() == nil {
		p.mu.Lock()
		if living := p.living(); len(living) > 0 && p.publisher.Connected() {
			h := living[rng.IntN(len(living))]
			h.seq++
			m, err := events.NewSandboxCreated(p.meta("s"), h.id, events.SandboxCreated{ID: fmt.Sprint("sbx-", h.seq%40), Template: h.marker})
			if h.seq%3 == 0 && err == nil {
				m, err = events.NewUserProfileUpdated(p.meta("p"), h.id, events.UserProfileUpdated{Name: events.Some(fmt.Sprint(h.marker, h.seq))})
			}
			if err == nil {
				limit, cancel := context.WithTimeout(ctx, 2*time.Second)
				_, _ = p.publisher.PublishRaw(limit, m)
				cancel()
			}
		}
		p.mu.Unlock()
		_ = pause(ctx, 15*time.Millisecond)
	}
}

// living are those of whom something is published.
func (p *crowd) living() []*person {
	return slices.DeleteFunc(slices.Clone(p.everybody), func(h *person) bool { return h.erased })
}

func (p *crowd) erasedCount() int { return len(p.everybody) - len(p.living()) }

// someone is one of the living, of whom nothing more is published.
func (p *crowd) leaves() *person {
	p.mu.Lock()
	defer p.mu.Unlock()
	living := p.living()
	h := living[p.rng.IntN(len(living))]
	h.erased = true
	return h
}

// does lets an act be done, and holds what has to hold after it.
func (p *crowd) does(i int, a act) {
	p.t.Helper()
	began := time.Now()
	a.do()
	done := time.Since(began)
	p.done[a.name]++
	p.heal()
	healed := time.Since(began)
	p.check()
	for len(p.living()) < 6 {
		p.join()
	}
	p.t.Logf("%d: %s, done after %.1f s, all well after %.1f s, looked at after %.1f s", i, a.name, done.Seconds(), healed.Seconds(), time.Since(began).Seconds())
}

// heal has the projector run, whatever it takes: where it refuses, the first
// command that it names is run, and so on.
func (p *crowd) heal() {
	p.t.Helper()
	for range 8 {
		status, out := p.settle()
		if status == 0 {
			return
		}
		p.refused[status]++
		p.follow(out)
		p.run()
	}
	p.t.Fatalf("after eight rounds `run` still refuses")
}

// settle waits until the projector has caught up, or has ended, which it gives
// the status and words of.
func (p *crowd) settle() (status int, out string) {
	p.t.Helper()
	var last error
	target := uint64(math.MaxUint64)
	for began := time.Now(); time.Since(began) < 90*time.Second; {
		select {
		case err := <-p.projector.done:
			p.projector.done <- err
			status, out = p.projector.wait(), p.projector.out.tail(1<<16)
			if status == 0 || status == -1 { // it was told to end, or killed
				p.run()
				continue
			}
			return status, out
		default:
		}
		// Only what was there at first has to be reached: traffic goes on.
		info, err := p.client.Info(p.t.Context())
		target = min(target, info.Last)
		if err != nil {
			last, target = err, math.MaxUint64
		} else if last = p.reached(p.t.Context(), target); last == nil {
			if out, status := p.operate("status"); status == 0 {
				return 0, ""
			} else if status >= 10 {
				last = fmt.Errorf("status ends with %d: %s", status, out)
			}
		}
		time.Sleep(30 * time.Millisecond)
	}
	p.t.Fatalf("not settled: %v; the projector said %s", last, p.projector.out.tail(2000))
	return 0, ""
}

// operate runs a command of the projector to its end, which has to come.
func (p *crowd) operate(args ...string) (out string, status int) {
	p.t.Helper()
	cmd, err := spawn(binary(p.t, "projector"), p.settings, &lockedBuffer{}, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	hung := time.AfterFunc(2*time.Minute, func() { cmd.signal(syscall.SIGQUIT) })
	status = cmd.wait()
	if !hung.Stop() {
		p.t.Fatalf("%v did not end: %s", args, cmd.out.tail(1<<16))
	}
	return cmd.out.tail(1 << 20), status
}

// must runs a command that has to succeed.
func (p *crowd) must(args ...string) (out string) {
	p.t.Helper()
	out, status := p.operate(args...)
	if status != 0 {
		p.t.Errorf("%v: exit %d: %s", args, status, lastLines(out))
	}
	return out
}

// check holds what has to hold at all times.
func (p *crowd) check() {
	p.t.Helper()
	p.checkAnswers()
	p.checkTraces()
	p.loose = false
}

// checkAnswers: the erased get 410, and nobody else's complete document grows
// worse.
func (p *crowd) checkAnswers() {
	p.t.Helper()
	for _, h := range slices.Clone(p.everybody) {
		var status int
		var header http.Header
		eventually(p.t, "an answer", 20*time.Second, func(ctx context.Context) (err error) {
			status, header, _, err = get(ctx, "http://"+p.serve+"/v1/account/export", h.token)
			if err == nil && (status == http.StatusBadGateway || status == http.StatusServiceUnavailable && h.complete && !h.erased && !p.loose) {
				err = fmt.Errorf("status %d", status)
			}
			return err
		})
		position, _ := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
		switch {
		case h.erased && status != http.StatusGone && status != http.StatusNotFound:
			p.t.Errorf("%s was erased, and gets %d", h.id, status)
		case h.erased:
		case h.complete && status != http.StatusOK && !p.loose:
			p.t.Errorf("%s had a document, and gets %d", h.id, status)
		case h.complete && position < h.position && !p.loose:
			p.t.Errorf("the document of %s was at %d, and is at %d", h.id, h.position, position)
		case status != http.StatusOK && p.loose:
			p.forget(h) // of whom the stream has lost too much
		default:
			h.complete, h.position = h.complete || status == http.StatusOK, position
		}
	}
}

// forget leaves an account alone that was lost, as somebody has accepted.
func (p *crowd) forget(h *person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.everybody = slices.DeleteFunc(p.everybody, func(x *person) bool { return x == h })
}

// checkTraces: neither the stream nor a dump of the database holds the marker
// of somebody who was erased.
func (p *crowd) checkTraces() {
	p.t.Helper()
	var gone []*person
	for _, h := range p.everybody {
		if h.erased {
			gone = append(gone, h)
		}
	}
	if gone == nil {
		return
	}
	found := func(where string, in []byte) {
		for _, h := range gone {
			if bytes.Contains(in, []byte(h.marker)) || bytes.Contains(in, fmt.Appendf(nil, "%x", h.marker)) {
				p.t.Errorf("%s was erased, and is in %s", h.id, where)
			}
		}
	}
	if err := p.client.ReadAll(p.t.Context(), func(m projections.Message) error {
		found(fmt.Sprintf("message %d of the stream", m.Position), m.Data)
		return nil
	}); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.pg15("pg_dump", "--inserts", p.database).Output()
	if err != nil {
		p.t.Fatal(err)
	}
	found("the database", out)
}

// pg15 is one of PostgreSQL's programs.
func (p *crowd) pg15(program string, args ...string) *exec.Cmd {
	binaries, err := postgres.Binaries()
	postgres.Check(p.t, err)
	return exec.Command(filepath.Join(binaries, program), args...)
}

// end brings both sides together again, and holds them against the oracle.
func (p *crowd) end() {
	if p.t.Failed() {
		return
	}
	p.mu.Lock() // nothing is published any more
	defer p.mu.Unlock()
	if out, status := p.operate("rebuild", "--accept-differences"); status != 0 {
		p.t.Errorf("rebuild: exit %d: %s", status, out)
	}
	if status, out := p.settle(); status != 0 {
		p.t.Fatalf("exit %d: %s", status, out)
	}
	p.must("verify", "--all")
	accounts, messages := p.verify(p.t)
	p.t.Logf("%d accounts of %d messages are what the oracle folds", accounts, messages)
}

// connect has what is done by the test itself done to the stream of the settings.
func (p *crowd) connect() {
	p.t.Helper()
	client, err := stream.Connect(p.t.Context(), stream.Config{URL: p.nats.URL(), Stream: p.settings["STREAM"], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(client.Close)
	p.client, p.publisher = client, client
}

func (p *crowd) streamName() string {
	if name := p.settings["STREAM"]; name != "" {
		return name
	}
	return "CONTROL_PLANE"
}

// withoutTraffic does something while nothing is published.
func (p *crowd) withoutTraffic(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// lastLines is the end of what a program says, where its error is.
func lastLines(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}

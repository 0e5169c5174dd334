package e2e

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
)

// TestPeople performs what operators do, in a seeded random order, while events are published:
// erase, rebuild, cut over, roll back, refold, back up and restore, purge by hand, edit the stream.
// Every refusal is answered by the first command that it names. No trace of an account is left
// after its receipt, no complete document gets worse unless an operator has accepted that, every
// refusal ends by following its advice, and every command ends. Each exit status with which `run`
// refuses occurs in every run. The long form performs at least 150 acts, each kind at least five
// times.
func TestPeople(t *testing.T) {
	t.Parallel()
	seed := testrun.Seed(t)
	p := newSimulation(t, seed)
	acts, order := p.order()
	inTime := p.performAll(order)
	p.end()
	t.Logf("SEED=%d: of %d acts %v; refusals by exit status %v; advice followed %v; %d accounts, %d of them erased",
		seed, len(order), p.done, p.refused, p.followed, len(p.people), p.erasedCount())
	if !inTime {
		t.Errorf("time has run out: go test -timeout has to be longer for %d acts", len(order))
	}
	for _, a := range acts {
		if p.done[a.name] < p.repetitions() {
			t.Errorf("%s was done %d times, want %d", a.name, p.done[a.name], p.repetitions())
		}
	}
	for status := 10; status <= 18 && acts != nil; status++ {
		if p.refused[status] == 0 {
			t.Errorf("nothing was refused with %d", status)
		}
	}
}

// repetitions is how often each kind of act is performed at least.
func (p *simulation) repetitions() int {
	if testrun.Long() {
		return 5
	}
	return 1
}

// order returns the acts in the order in which they are performed, and all kinds, each of which has
// to occur. ACTS names those to perform instead, in that order, to look into one of them.
func (p *simulation) order() (acts, order []act) {
	p.t.Helper()
	all := p.acts()
	if only := os.Getenv("ACTS"); only != "" {
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(all, func(a act) bool { return a.name == name })
			if i < 0 {
				p.t.Fatalf("ACTS: there is no act %q", name)
			}
			order = append(order, all[i])
		}
		return nil, order
	}
	for range p.repetitions() {
		order = append(order, all...)
	}
	for testrun.Long() && len(order) < 150 {
		order = append(order, all[p.rng.IntN(len(all))])
	}
	p.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return all, order
}

// reservedForEnd is how much of the time that `go test` allows is kept for the comparison at the
// end.
const reservedForEnd = 2 * time.Minute

// performAll reports whether there was time for all acts.
func (p *simulation) performAll(order []act) bool {
	p.t.Helper()
	for i, a := range order {
		if until, ok := p.t.Deadline(); ok && time.Until(until) < reservedForEnd {
			return false
		}
		p.perform(i, a)
		if p.t.Failed() {
			break
		}
	}
	return true
}

// simulation is a system with people, whose accounts publish events, and operators.
type simulation struct {
	*system
	t   *testing.T
	rng *rand.Rand

	projector, api *process
	serve          string
	done, followed map[string]int
	refused        map[int]int
	lossAccepted   bool   // whether an operator has accepted that documents get worse
	restoreBackup  func() // restores the last backup of the stream; nil: there is none
	databaseBackup string
	ledger         string

	mu        sync.Mutex // held while publishing, and by acts during which nothing may be published
	people    []*person
	publisher *stream.Client

	receipts struct {
		sync.Mutex
		of []*person
	}
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	p := &simulation{system: newSystem(t), t: t, rng: rand.New(rand.NewPCG(seed, 7)), serve: freeAddr(t),
		done: map[string]int{}, followed: map[string]int{}, refused: map[int]int{}}
	p.settings["AUDIT_RATE"] = "0"
	p.settings["TAKEOVER_AFTER"] = "1s"
	p.publisher = p.client
	p.startAPI()
	p.publishTiers()
	for range 8 {
		p.addPerson()
	}
	p.start()
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { p.traffic(ctx) })
	traffic.Go(func() { p.watchErased(ctx) })
	t.Cleanup(func() {
		stop()
		traffic.Wait()
	})
	p.recoverByAdvice()
	p.check()
	return p
}

// start starts the projector.
func (p *simulation) start() { p.projector = launch(p.t, "projector", p.settings, "run") }

// stop ends the projector as a supervisor does.
func (p *simulation) stop() {
	p.t.Helper()
	p.projector.signal(syscall.SIGTERM)
	if status := p.projector.wait(); status != 0 {
		p.t.Errorf("asked to end, the projector exits %d: %s", status, lastLines(p.projector.out.tail(1<<16)))
	}
}

func (p *simulation) startAPI() {
	p.api = launch(p.t, "api", map[string]string{"DATABASE_URL": p.database, "HTTP_ADDR": p.serve, "ADMIN_ADDR": "127.0.0.1:0",
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
}

// perform performs an act and checks what has to be true after it.
func (p *simulation) perform(i int, a act) {
	p.t.Helper()
	began, before := time.Now(), maps.Clone(p.refused)
	a.do()
	done := time.Since(began)
	p.done[a.name]++
	p.recoverByAdvice()
	healed := time.Since(began)
	if a.refused > 0 {
		before[a.refused]++
	}
	if a.refused != maybe && !maps.Equal(p.refused, before) {
		p.t.Errorf("%s: `run` has refused so often, by exit status: %v, want %v", a.name, p.refused, before)
	}
	p.check()
	for len(p.activePeople()) < 6 {
		p.addPerson()
	}
	p.t.Logf("%d: %s, done after %.1f s, all well after %.1f s, looked at after %.1f s", i, a.name, done.Seconds(), healed.Seconds(), time.Since(began).Seconds())
}

// recoverByAdvice runs the projector until it keeps running: when it refuses, the first command
// that it names is run.
func (p *simulation) recoverByAdvice() {
	p.t.Helper()
	for range 8 {
		status, out := p.waitSettled()
		if status == 0 {
			return
		}
		p.refused[status]++
		p.followAdvice(out)
		p.start()
	}
	p.t.Fatalf("after eight rounds `run` still refuses")
}

// waitSettled waits until the projector has caught up, or returns the exit status and output with
// which it ended.
func (p *simulation) waitSettled() (status int, out string) {
	p.t.Helper()
	var last error
	target := uint64(math.MaxUint64)
	for began := time.Now(); time.Since(began) < patience(90*time.Second); {
		select {
		case err := <-p.projector.done:
			p.projector.done <- err
			status, out = p.projector.wait(), p.projector.out.tail(1<<16)
			if status == 0 || status == -1 { // it was asked to end, or killed
				p.start()
				continue
			}
			return status, out
		default:
		}
		// Only the end of the stream at the first look has to be reached, since events keep coming.
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

// operate runs a command of the projector, which has to end.
func (p *simulation) operate(args ...string) (out string, status int) {
	p.t.Helper()
	cmd, err := spawn(binary(p.t, "projector"), p.settings, &lockedBuffer{}, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	hung := time.AfterFunc(patience(2*time.Minute), func() { cmd.signal(syscall.SIGQUIT) })
	status = cmd.wait()
	if !hung.Stop() {
		p.t.Fatalf("%v did not end: %s", args, cmd.out.tail(1<<16))
	}
	return cmd.out.tail(1 << 20), status
}

// must runs a command that has to exit with 0.
func (p *simulation) must(args ...string) (out string) {
	p.t.Helper()
	out, status := p.operate(args...)
	if status != 0 {
		p.t.Errorf("%v: exit %d: %s", args, status, lastLines(out))
	}
	return out
}

// withoutTraffic calls a function while nothing is published.
func (p *simulation) withoutTraffic(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// lastLines is the end of a program's output, where its error is.
func lastLines(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "\n")
}

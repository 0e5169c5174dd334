package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
)

// fault is one kind of failure.
type fault struct {
	name   string
	weight int // of 100 faults, about how many are of this kind
	inject injection
	moves  *progress // what makes no progress meanwhile
	again  func(context.Context) error
}

// projectorFaults are the faults that keep projectors from working.
func (a *chaosSystem) projectorFaults() []fault {
	var out []fault
	add := func(name string, weight int, inject injection) {
		out = append(out, fault{name, weight, inject, a.watch.progress, a.projectsAgain})
	}
	add("projector killed", 16, a.killProjector)
	add("projector killed at commits", 16, a.killAtCommit)
	add("all projectors killed", 4, a.killProjectors)
	add("projector frozen", 5, a.freezeProjector)
	add("projector frozen in a transaction", 3, a.freezeInTransaction)
	add("PostgreSQL stopped at once", 5, a.stopDatabase)
	add("PostgreSQL sessions ended", 5, a.cutSessions)
	add("statement_timeout", 4, a.shortStatements)
	add("serialization failures", 6, a.serializationFailures)
	add("disk full", 4, a.diskFull)
	add("read-only", 4, a.readOnly)
	add("NATS killed, all of it", 4, a.killServers)
	if a.servers > 1 {
		add("stream leader killed", 8, a.killLeader)
	}
	add("projector–NATS delayed", 3, a.delay(a.projectorNATS()))
	add("projector–NATS cut", 3, a.cut(a.projectorNATS()))
	add("projector–NATS stalled", 3, a.stall(a.projectorNATS()))
	add("projector–PostgreSQL delayed", 3, a.delay(a.projectorDatabase()))
	add("projector–PostgreSQL cut", 3, a.cut(a.projectorDatabase()))
	add("projector–PostgreSQL stalled", 4, a.stall(a.projectorDatabase()))
	if a.shared { // otherwise a replica that waits for an answer keeps its partitions
		add("projector–NATS lost", 2, a.blackhole(a.projectorNATS()))
		add("projector–PostgreSQL lost", 2, a.blackhole(a.projectorDatabase()))
	}
	return out
}

// clientFaults are the faults of the API and of the publisher, which come at the same time as those
// of projectors.
func (a *chaosSystem) clientFaults() []fault {
	var out []fault
	for _, x := range []struct {
		name  string
		pair  networkPair
		moves *progress
	}{{"API–PostgreSQL", a.apiDatabase(), a.reader.progress}, {"publisher–NATS", a.publisherNATS(), a.publisher.progress}} {
		again := a.waitProgress(x.moves)
		out = append(out, fault{x.name + " delayed", 1, a.delay(x.pair), x.moves, again},
			fault{x.name + " cut", 1, a.cut(x.pair), x.moves, again}, fault{x.name + " stalled", 1, a.stall(x.pair), x.moves, again},
			fault{x.name + " lost", 1, a.blackhole(x.pair), x.moves, again})
	}
	return out
}

// projectsAgain waits until a message that is published from now on is in every partition's
// checkpoint.
func (a *chaosSystem) projectsAgain(ctx context.Context) error {
	position, err := a.publisher.acknowledged(ctx)
	if err != nil {
		return err
	}
	for !a.watch.reached(position) {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("message %d, published since, is not projected: %w", position, err)
		}
	}
	return nil
}

func (a *chaosSystem) waitProgress(p *progress) func(context.Context) error {
	return func(ctx context.Context) error {
		for began := time.Now(); !p.last().After(began); {
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("nothing moves since: %w", err)
			}
		}
		return nil
	}
}

// recoverWithin is generous: the table at the end says what took longer than usual.
const recoverWithin = time.Minute

// injectAndRecover injects a fault and waits for the recovery.
func (a *chaosSystem) injectAndRecover(ctx context.Context, f fault, rng *rand.Rand, r *chaosReport) {
	began, w := time.Now(), f.moves.begin()
	injecting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	detail, err := f.inject(injecting, rng)
	ended := time.Now()
	if err == nil {
		recovering, cancel := context.WithTimeout(ctx, recoverWithin)
		defer cancel()
		if err = f.again(recovering); err != nil {
			err = fmt.Errorf("not recovered within %v: %w", recoverWithin, err)
		}
	}
	r.add(f.name, detail, began, ended, f.moves.end(w), err)
}

// injectEach injects every fault once, in random order.
func (a *chaosSystem) injectEach(ctx context.Context, faults []fault, rng *rand.Rand, r *chaosReport) {
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, f := range faults {
		if r.failed() || ctx.Err() != nil {
			return
		}
		a.injectAndRecover(ctx, f, rand.New(rand.NewPCG(rng.Uint64(), 0)), r)
	}
}

// injectAtRandom injects faults by their weights for this long, every fifth time two at once.
func (a *chaosSystem) injectAtRandom(ctx context.Context, faults []fault, rng *rand.Rand, r *chaosReport, over time.Duration) {
	draw := func() fault {
		total := 0
		for _, f := range faults {
			total += f.weight
		}
		n := rng.IntN(total)
		for _, f := range faults {
			if n -= f.weight; n < 0 {
				return f
			}
		}
		return faults[0]
	}
	for end := time.Now().Add(over); time.Now().Before(end) && !r.failed() && ctx.Err() == nil; {
		f := draw()
		if g := draw(); rng.IntN(5) == 0 && g.name != f.name {
			f = both(f, g)
		}
		a.injectAndRecover(ctx, f, rand.New(rand.NewPCG(rng.Uint64(), 0)), r)
	}
}

// both injects two faults at the same time.
func both(f, g fault) fault {
	return fault{"two at once", 0, func(ctx context.Context, rng *rand.Rand) (string, error) {
		var details [2]string
		var errs [2]error
		var all sync.WaitGroup
		for i, x := range []fault{f, g} {
			rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
			all.Go(func() { details[i], errs[i] = x.inject(ctx, rng) })
		}
		all.Wait()
		err := errs[0]
		if err == nil {
			err = errs[1]
		}
		return f.name + ": " + details[0] + "; " + g.name + ": " + details[1], err
	}, f.moves, f.again}
}

// chaosLasts is how long a chaos test goes on: CHAOS=10m, or 0 to inject each kind of fault once.
func chaosLasts(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CHAOS")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHAOS: %v", err)
	}
	return d
}

// TestChaosCluster runs three projectors, a cluster of three NATS servers with a replicated stream,
// PostgreSQL and an API, and makes each of them fail in every known way while events are published
// and documents are read. Nothing is lost or folded twice, every document that was served is the
// fold at its position, and the system recovers by itself.
func TestChaosCluster(t *testing.T) {
	t.Parallel()
	lasts := chaosLasts(t) * 4 / 5
	cfg := chaosConfig{seed: testrun.Seed(t), servers: 3, projectors: 3, perSecond: 80, takeover: 2 * time.Second, span: 800 * time.Millisecond}
	if lasts > 0 {
		cfg.perSecond, cfg.takeover, cfg.span = 150, 5*time.Second, 3*time.Second
	}
	a := newChaosSystem(t, cfg)
	a.chaos(t, a.projectorFaults(), a.clientFaults(), lasts)
}

// TestChaosSingle does the same with one projector and one NATS server, where no other replica
// takes over. The short form has the faults that differ.
func TestChaosSingle(t *testing.T) {
	t.Parallel()
	lasts := chaosLasts(t) / 5
	cfg := chaosConfig{seed: testrun.Seed(t), servers: 1, projectors: 1, perSecond: 300, takeover: 2 * time.Second, span: 800 * time.Millisecond}
	if lasts > 0 {
		cfg.takeover, cfg.span = 5*time.Second, 3*time.Second
	}
	a := newChaosSystem(t, cfg)
	faults, around := a.projectorFaults(), a.clientFaults()
	if lasts == 0 {
		var short []fault
		for _, f := range faults {
			switch f.name {
			case "projector killed", "projector killed at commits", "projector frozen in a transaction", "NATS killed, all of it", "PostgreSQL stopped at once":
				short = append(short, f)
			}
		}
		faults, around = short, nil
	}
	a.chaos(t, faults, around, lasts)
}

// chaos injects the faults, and then compares everything with the oracle.
func (a *chaosSystem) chaos(t *testing.T, faults, around []fault, lasts time.Duration) {
	r := newChaosReport(a.seed)
	defer r.log(t)
	var all sync.WaitGroup
	for i, kinds := range [][]fault{faults, around} {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(a.seed, uint64(i)))
			a.injectEach(t.Context(), kinds, rng, r)
			if len(kinds) > 0 {
				a.injectAtRandom(t.Context(), kinds, rng, r, lasts-time.Since(r.began))
			}
		})
	}
	all.Wait()
	a.finish(t, r)
}

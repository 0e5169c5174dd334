package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// killProjector kills one replica at a random moment. It is started again at once, after a while,
// or when the others have its partitions.
func (a *chaosSystem) killProjector(ctx context.Context, rng *rand.Rand) (string, error) {
	r, began := a.randomReplica(rng), time.Now()
	how, away := rng.IntN(3), a.faultDuration(rng)
	r.kill()
	var err error
	switch {
	case how == 1:
		err = sleep(ctx, away)
	case how == 2 && len(a.replicas) > 1:
		err = a.waitTakenOver(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("%s is dead: %w", r.name, err)
	}
	return fmt.Sprintf("%s, away %v", r.name, time.Since(began)), r.start()
}

// waitTakenOver waits until the others project the partitions of a replica that does not.
func (a *chaosSystem) waitTakenOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recoverWithin)
	defer cancel()
	if err := a.projectsAgain(ctx); err != nil {
		return fmt.Errorf("the others do not take over: %w", err)
	}
	return nil
}

// killsAtOnce is how many kills around commits follow each other.
const killsAtOnce = 4

// killAtCommit kills replicas several times in a row, each a few milliseconds after a commit became
// visible, which is mostly during the next commit.
func (a *chaosSystem) killAtCommit(ctx context.Context, rng *rand.Rand) (detail string, err error) {
	for range killsAtOnce {
		if err := a.watch.committed(ctx); err != nil {
			return detail, fmt.Errorf("no commit comes: %w", err)
		}
		after := randomBelow(rng, 5*time.Millisecond)
		r := a.randomReplica(rng)
		if err := sleep(ctx, after); err != nil {
			return detail, err
		}
		r.kill()
		detail += fmt.Sprintf("%s after %v; ", r.name, after)
		if err := r.start(); err != nil {
			return detail, err
		}
	}
	return detail, nil
}

// killProjectors kills all replicas at once.
func (a *chaosSystem) killProjectors(ctx context.Context, rng *rand.Rand) (string, error) {
	away := randomBelow(rng, 300*time.Millisecond)
	var all sync.WaitGroup
	for _, r := range a.replicas {
		all.Go(r.kill)
	}
	all.Wait()
	if err := sleep(ctx, away); err != nil {
		return "", err
	}
	for _, r := range a.replicas {
		if err := r.start(); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("away %v", away), nil
}

// freezeProjector stops a replica for longer than the others wait before they take over, and lets
// it continue.
func (a *chaosSystem) freezeProjector(ctx context.Context, rng *rand.Rand) (string, error) {
	r, frozen, began := a.randomReplica(rng), a.takeover+randomBelow(rng, 1500*time.Millisecond), time.Now()
	r.signal(syscall.SIGSTOP)
	defer r.signal(syscall.SIGCONT)
	if err := sleep(ctx, frozen); err != nil {
		return "", err
	}
	if a.shared && len(a.replicas) > 1 {
		if err := a.waitTakenOver(ctx); err != nil {
			return "", fmt.Errorf("%s is frozen: %w", r.name, err)
		}
	}
	return fmt.Sprintf("%s for %v", r.name, time.Since(began)), nil
}

// freezeInTransaction stops a replica between two statements of a large transaction, which keeps
// its locks.
func (a *chaosSystem) freezeInTransaction(ctx context.Context, rng *rand.Rand) (string, error) {
	for _, r := range a.replicas {
		r.kill()
	}
	a.publisher.burst(ctx, 2000) // of more accounts than one round trip writes
	if err := a.sql(ctx, `INSERT INTO chaos.armed VALUES ('accounts', 'sleep', 0.5)`); err != nil {
		return "", err
	}
	r := a.replicas[rng.IntN(len(a.replicas))]
	if err := r.start(); err != nil {
		return "", err
	}
	if err := pollUntil(ctx, func(ctx context.Context) (err error) {
		var n int
		if err = a.pool.QueryRow(ctx, `SELECT 1 FROM pg_stat_activity WHERE usename = 'projector' AND wait_event = 'PgSleep'`).Scan(&n); err == nil {
			r.signal(syscall.SIGSTOP)
		}
		return err
	}); err != nil {
		return "", fmt.Errorf("no large transaction: %w", err)
	}
	defer r.signal(syscall.SIGCONT)
	began := time.Now()
	if err := a.sql(ctx, `DELETE FROM chaos.armed WHERE code = 'sleep'`); err != nil {
		return "", err
	}
	var locks int
	for _, other := range a.replicas {
		if err := other.start(); err != nil {
			return "", err
		}
	}
	if err := sleep(ctx, a.takeover); err != nil {
		return "", err
	}
	if err := a.pool.QueryRow(ctx, `
SELECT count(*) FROM pg_stat_activity WHERE usename = 'projector' AND state = 'idle in transaction'`).Scan(&locks); err != nil {
		return "", err
	}
	if a.shared && len(a.replicas) > 1 {
		if err := a.waitTakenOver(ctx); err != nil {
			return "", fmt.Errorf("%s is frozen in a transaction: %w", r.name, err)
		}
	}
	return fmt.Sprintf("%s for %v; %d idle in transaction", r.name, time.Since(began), locks), nil
}

// faultDuration is how long an ordinary fault lasts.
func (a *chaosSystem) faultDuration(rng *rand.Rand) time.Duration {
	return a.span/4 + randomBelow(rng, a.span*3/4)
}

// randomBelow is a random time shorter than the limit.
func randomBelow(rng *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(limit)))
}

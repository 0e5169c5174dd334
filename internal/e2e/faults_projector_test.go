package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// killProjector kills one at a random moment; sometimes it stays away for so
// long that its partitions are taken over.
func (a *arena) killProjector(ctx context.Context, rng *rand.Rand) (string, error) {
	r := a.victim(rng)
	away := time.Duration(0)
	switch rng.IntN(4) {
	case 0:
		away = a.lasting(rng)
	case 1:
		away = a.takeover + within(rng, time.Second)
	}
	r.kill()
	if err := pause(ctx, away); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, away %v", r.name, away), r.start()
}

// killsAtOnce is how many kills around commits follow each other.
const killsAtOnce = 4

// killAtCommit kills, several times in a row, a few milliseconds after a commit
// became visible: in the next one, mostly.
func (a *arena) killAtCommit(ctx context.Context, rng *rand.Rand) (detail string, err error) {
	for range killsAtOnce {
		if err := a.watch.committed(ctx); err != nil {
			return detail, fmt.Errorf("no commit comes: %w", err)
		}
		after := within(rng, 5*time.Millisecond)
		r := a.victim(rng)
		if err := pause(ctx, after); err != nil {
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

// killProjectors kills every one at once.
func (a *arena) killProjectors(ctx context.Context, rng *rand.Rand) (string, error) {
	away := within(rng, 300*time.Millisecond)
	for _, r := range a.replicas {
		r.signal(syscall.SIGKILL)
		r.kill()
	}
	if err := pause(ctx, away); err != nil {
		return "", err
	}
	for _, r := range a.replicas {
		if err := r.start(); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("away %v", away), nil
}

// freezeProjector stops one for longer than the others wait to take over, and
// lets it go on as if nothing had been.
func (a *arena) freezeProjector(ctx context.Context, rng *rand.Rand) (string, error) {
	r, frozen := a.victim(rng), a.takeover+within(rng, 1500*time.Millisecond)
	r.signal(syscall.SIGSTOP)
	err := pause(ctx, frozen)
	r.signal(syscall.SIGCONT)
	return fmt.Sprintf("%s for %v", r.name, frozen), err
}

// lasting is how long an ordinary fault lasts.
func (a *arena) lasting(rng *rand.Rand) time.Duration { return a.span/4 + within(rng, a.span*3/4) }

// within is a random time shorter than the limit.
func within(rng *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(limit)))
}

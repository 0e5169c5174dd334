package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"accountexport/internal/local/tcpproxy"
)

// pair is two kinds of programs with a network between them: some of its
// proxies are picked.
type pair func(rng *rand.Rand) (who string, proxies []*tcpproxy.Proxy)

// ofReplicas picks one replica's proxies, or those of all.
func (a *arena) ofReplicas(of func(*replica) []*tcpproxy.Proxy) pair {
	return func(rng *rand.Rand) (string, []*tcpproxy.Proxy) {
		if rng.IntN(2) == 0 {
			r := a.victim(rng)
			return r.name, of(r)
		}
		var proxies []*tcpproxy.Proxy
		for _, r := range a.replicas {
			proxies = append(proxies, of(r)...)
		}
		return "all", proxies
	}
}

func (a *arena) projectorNATS() pair {
	return a.ofReplicas(func(r *replica) []*tcpproxy.Proxy { return r.nats })
}

func (a *arena) projectorDatabase() pair {
	return a.ofReplicas(func(r *replica) []*tcpproxy.Proxy { return []*tcpproxy.Proxy{r.pg} })
}

func (a *arena) apiDatabase() pair {
	return func(*rand.Rand) (string, []*tcpproxy.Proxy) { return "the API", []*tcpproxy.Proxy{a.answering} }
}

func (a *arena) publisherNATS() pair {
	return func(*rand.Rand) (string, []*tcpproxy.Proxy) { return "the publisher", a.publishing }
}

type injection func(ctx context.Context, rng *rand.Rand) (string, error)

// delayed makes a network slow, uneven, and every other time narrow.
func (a *arena) delayed(p pair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		shape := tcpproxy.Shape{Delay: within(rng, 40*time.Millisecond), Jitter: 1 + within(rng, 40*time.Millisecond)}
		if rng.IntN(2) == 0 {
			shape.BytesPerSecond = 50_000 + rng.IntN(500_000)
		}
		lasting := a.lasting(rng)
		for _, x := range proxies {
			x.Set(shape)
		}
		err := pause(ctx, lasting)
		for _, x := range proxies {
			x.Set(tcpproxy.Shape{})
		}
		return fmt.Sprintf("%s, %+v for %v", who, shape, lasting), err
	}
}

// cut resets connections again and again, every other time just after a commit.
func (a *arena) cut(p pair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		end, n := time.Now().Add(a.lasting(rng)), 0
		for i := 0; time.Now().Before(end); i++ {
			if i%2 == 0 {
				if err := a.atCommit(ctx, rng); err != nil {
					return "", err
				}
			}
			for _, x := range proxies {
				n += x.Cut()
			}
			if err := pause(ctx, within(rng, 300*time.Millisecond)); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%s, %d connections", who, n), nil
	}
}

// stalled makes a network silent, sometimes for longer than a projector may be
// away; what was under way arrives afterwards, or never.
func (a *arena) stalled(p pair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		lasting, lost := a.lasting(rng), rng.IntN(2) == 0
		if rng.IntN(4) == 0 {
			lasting += a.takeover
		}
		for _, x := range proxies {
			x.Stall()
		}
		err := pause(ctx, lasting)
		for _, x := range proxies {
			if lost {
				x.Cut()
			}
			x.Resume()
		}
		return fmt.Sprintf("%s for %v, then cut: %v", who, lasting, lost), err
	}
}

// lost has the connections there are fall silent for ever, without an end;
// new ones work.
func (a *arena) lost(p pair) injection {
	return func(_ context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		n := 0
		for _, x := range proxies {
			n += x.Blackhole()
		}
		return fmt.Sprintf("%s, %d connections", who, n), nil
	}
}

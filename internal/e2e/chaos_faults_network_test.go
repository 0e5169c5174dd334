package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"accountexport/internal/local/tcpproxy"
)

// networkPair picks proxies of the network between two kinds of programs.
type networkPair func(rng *rand.Rand) (who string, proxies []*tcpproxy.Proxy)

// ofReplicas picks the proxies of one replica, or those of all.
func (a *chaosSystem) ofReplicas(of func(*replica) []*tcpproxy.Proxy) networkPair {
	return func(rng *rand.Rand) (string, []*tcpproxy.Proxy) {
		if rng.IntN(2) == 0 {
			r := a.randomReplica(rng)
			return r.name, of(r)
		}
		var proxies []*tcpproxy.Proxy
		for _, r := range a.replicas {
			proxies = append(proxies, of(r)...)
		}
		return "all", proxies
	}
}

func (a *chaosSystem) projectorNATS() networkPair {
	return a.ofReplicas(func(r *replica) []*tcpproxy.Proxy { return r.nats })
}

func (a *chaosSystem) projectorDatabase() networkPair {
	return a.ofReplicas(func(r *replica) []*tcpproxy.Proxy { return []*tcpproxy.Proxy{r.pg} })
}

func (a *chaosSystem) apiDatabase() networkPair {
	return func(*rand.Rand) (string, []*tcpproxy.Proxy) { return "the API", []*tcpproxy.Proxy{a.answering} }
}

func (a *chaosSystem) publisherNATS() networkPair {
	return func(*rand.Rand) (string, []*tcpproxy.Proxy) { return "the publisher", a.publishing }
}

type injection func(ctx context.Context, rng *rand.Rand) (string, error)

// delay makes a network slow with an uneven delay, and every other time narrow.
func (a *chaosSystem) delay(p networkPair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		shape := tcpproxy.Shape{Delay: randomBelow(rng, 40*time.Millisecond), Jitter: 1 + randomBelow(rng, 40*time.Millisecond)}
		if rng.IntN(2) == 0 {
			shape.BytesPerSecond = 50_000 + rng.IntN(500_000)
		}
		lasting := a.faultDuration(rng)
		for _, x := range proxies {
			x.Set(shape)
		}
		err := sleep(ctx, lasting)
		for _, x := range proxies {
			x.Set(tcpproxy.Shape{})
		}
		return fmt.Sprintf("%s, %+v for %v", who, shape, lasting), err
	}
}

// cut resets connections again and again, every other time just after a commit.
func (a *chaosSystem) cut(p networkPair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		end, n := time.Now().Add(a.faultDuration(rng)), 0
		for i := 0; time.Now().Before(end); i++ {
			if i%2 == 0 {
				if err := a.atCommit(ctx, rng); err != nil {
					return "", err
				}
			}
			for _, x := range proxies {
				n += x.Cut()
			}
			if err := sleep(ctx, randomBelow(rng, 300*time.Millisecond)); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("%s, %d connections", who, n), nil
	}
}

// stall makes a network silent, sometimes for longer than a projector may be away. What was under
// way arrives afterwards, or never.
func (a *chaosSystem) stall(p networkPair) injection {
	return func(ctx context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		lasting, lost := a.faultDuration(rng), rng.IntN(2) == 0
		if rng.IntN(4) == 0 {
			lasting += a.takeover
		}
		for _, x := range proxies {
			x.Stall()
		}
		err := sleep(ctx, lasting)
		for _, x := range proxies {
			if lost {
				x.Cut()
			}
			x.Resume()
		}
		return fmt.Sprintf("%s for %v, then cut: %v", who, lasting, lost), err
	}
}

// blackhole makes the existing connections silent for ever without closing them. New connections
// work.
func (a *chaosSystem) blackhole(p networkPair) injection {
	return func(_ context.Context, rng *rand.Rand) (string, error) {
		who, proxies := p(rng)
		n := 0
		for _, x := range proxies {
			n += x.Blackhole()
		}
		return fmt.Sprintf("%s, %d connections", who, n), nil
	}
}

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterInfo asks which server leads the stream, and how its replicas are.
func (a *chaosSystem) clusterInfo(ctx context.Context) (*jetstream.ClusterInfo, error) {
	nc, err := nats.Connect(a.cluster.URL(), nats.MaxReconnects(0))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "CONTROL_PLANE")
	if err != nil {
		return nil, err
	}
	info := s.CachedInfo().Cluster
	if info == nil || a.cluster.Node(info.Leader) == nil {
		return nil, fmt.Errorf("the stream has no leader: %+v", info)
	}
	return info, nil
}

// replicasCurrent returns an error that names a replica of the stream that lacks messages.
func (a *chaosSystem) replicasCurrent(ctx context.Context) error {
	info, err := a.clusterInfo(ctx)
	if err != nil {
		return err
	}
	if len(info.Replicas) != a.servers-1 {
		return fmt.Errorf("%d of %d followers", len(info.Replicas), a.servers-1)
	}
	for _, r := range info.Replicas {
		if !r.Current || r.Offline {
			return fmt.Errorf("%s lags by %d, offline %v", r.Name, r.Lag, r.Offline)
		}
	}
	return nil
}

// killLeader kills the server that leads the stream: every other time until another server leads,
// otherwise for a moment, after which the same server may lead again. It returns when every replica
// has all messages.
func (a *chaosSystem) killLeader(ctx context.Context, rng *rand.Rand) (string, error) {
	a.natsBusy.Lock()
	defer a.natsBusy.Unlock()
	var leader string
	if err := pollUntil(ctx, func(ctx context.Context) error {
		info, err := a.clusterInfo(ctx)
		if err == nil {
			leader = info.Leader
		}
		return err
	}); err != nil {
		return "", err
	}
	away := a.faultDuration(rng)
	node := a.cluster.Node(leader)
	node.Kill()
	began := time.Now()
	if err := sleep(ctx, away); err != nil {
		return "", err
	}
	if a.leaderKills++; a.leaderKills%2 == 1 {
		if err := pollUntil(ctx, func(ctx context.Context) error {
			info, err := a.clusterInfo(ctx)
			if err == nil && info.Leader == leader {
				err = fmt.Errorf("%s, which was killed, still counts as leader", leader)
			}
			return err
		}); err != nil {
			return "", err
		}
		away = time.Since(began)
	}
	if err := node.Restart(ctx); err != nil {
		return "", err
	}
	if err := pollUntil(ctx, a.replicasCurrent); err != nil {
		return "", fmt.Errorf("the killed leader %s does not follow: %w", leader, err)
	}
	return fmt.Sprintf("%s, away %v", leader, away), nil
}

// killServers kills every NATS server at once.
func (a *chaosSystem) killServers(ctx context.Context, rng *rand.Rand) (string, error) {
	a.natsBusy.Lock()
	defer a.natsBusy.Unlock()
	away := a.faultDuration(rng)
	a.cluster.Kill()
	if err := sleep(ctx, away); err != nil {
		return "", err
	}
	if err := a.cluster.Restart(ctx); err != nil {
		return "", err
	}
	if a.servers > 1 {
		if err := pollUntil(ctx, a.replicasCurrent); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("away %v", away), nil
}

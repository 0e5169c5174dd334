package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// Description is what a stream is, where it is, and how its settings stand to the
// contract, for people.
type Description struct {
	engine.StreamInfo
	Refused error // why it cannot be folded whatever it holds: its transform; nil: nothing

	Bytes               uint64
	FirstTime, LastTime time.Time
	Consumers           int
	Settings            []Setting // that the contract has something to say about, right or not
	Transform           string
	Mirror              string   // the stream that it mirrors; empty: none
	Sources             []string // the streams that it sources from

	// Settings that whoever keeps the server chooses.
	Replicas     int
	MaxConsumers int // 0: no limit
	Duplicates   time.Duration
	Compression  string
	Placement    string // empty: anywhere

	// Where it is.
	Server, ServerVersion string // that the connection is to
	Cluster, Leader       string // empty where the server is by itself
	Peers                 []Peer // the other replicas
	Domain                string // of JetStream; empty: none
	API                   string // the subjects on which JetStream is asked
}

// Peer is a server that holds a replica of a stream.
type Peer struct {
	Name    string
	Current bool
	Offline bool
	Lag     uint64 // operations behind the leader
}

// Describe asks the server, with one request. A stream without a sound transform is
// described, too.
func (c *Client) Describe(ctx context.Context) (d Description, err error) {
	info, err := c.stream(ctx)
	if err != nil {
		return d, c.explain(err)
	}
	d.StreamInfo, d.Refused = c.infoOf(info)
	cfg := info.Config
	d.Bytes, d.FirstTime, d.LastTime, d.Consumers = info.State.Bytes, info.State.FirstTime, info.State.LastTime, info.State.Consumers
	d.Settings = append(settings(cfg), transformSetting(cfg))
	if t := cfg.SubjectTransform; t != nil {
		d.Transform = t.Source + " to " + t.Destination
	}
	if cfg.Mirror != nil {
		d.Mirror = cfg.Mirror.Name
	}
	for _, s := range cfg.Sources {
		d.Sources = append(d.Sources, s.Name)
	}
	d.Replicas, d.MaxConsumers, d.Duplicates, d.Compression = max(1, cfg.Replicas), max(0, cfg.MaxConsumers), cfg.Duplicates, cfg.Compression.String()
	if p := cfg.Placement; p != nil {
		d.Placement = fmt.Sprintf("cluster %q, tags %v", p.Cluster, p.Tags)
	}
	d.Server, d.ServerVersion = c.nc.ConnectedServerName(), c.nc.ConnectedServerVersion()
	d.Domain, d.API = info.Domain, c.prefix
	if at := info.Cluster; at != nil {
		d.Cluster, d.Leader = at.Name, at.Leader
		for _, p := range at.Replicas {
			d.Peers = append(d.Peers, Peer{p.Name, p.Current, p.Offline, p.Lag})
		}
	}
	return d, nil
}

// transformSetting holds a stream's subject transform against the contract, which
// leaves the number of partitions to whoever made the stream.
func transformSetting(have jetstream.StreamConfig) Setting {
	s := Setting{What: "subject_transform", Have: "none", Want: published + " to " + destination(DefaultPartitions) + ", with any number of partitions from 1 to 4096"}
	if t := have.SubjectTransform; t != nil {
		s.Have = t.Source + " to " + t.Destination
	}
	_, err := partitionCount(have.SubjectTransform)
	s.Right = err == nil
	return s
}

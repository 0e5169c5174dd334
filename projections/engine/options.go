package engine

import (
	"log/slog"
	"time"
)

// Options configure a [Projector].
type Options struct {
	Lanes               int                      // disjoint sets of partitions, each folded and committed by itself; default 1
	Batch               Bound                    // upper bound of one commit: messages, and bytes of changed accounts; default 200,000 and 128 MiB
	Read                Bound                    // upper bound of one read; default 4,096 events or 4 MiB
	CacheBytes          int                      // account states kept in memory, over all lanes; default 128 MiB
	Linger              time.Duration            // while catching up, a batch grows for so long before it is committed; default 0: not at all
	PartitionFilter     func(partition int) bool // partitions to fold; default all
	LagInterval         time.Duration            // between lag samples, each of which moves idle checkpoints on; default 1 s
	HeartbeatInterval   time.Duration            // between heartbeats to the other replicas; default 500 ms
	StallTimeout        time.Duration            // without progress for so long while messages wait, the session is restarted; default 15 s
	StreamBehindTimeout time.Duration            // a stream that ends before the checkpoint is asked again for so long; default 5 s
	DrainTimeout        time.Duration            // how long the current batch may take on shutdown; default 10 s
	Guard               Guard                    // default: none
	Observer            Observer                 // default: none
	Tracer              Tracer                   // default: none
	Logger              *slog.Logger             // default: slog.Default()
}

func (o *Options) defaults() {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Lanes, 1)
	def(&o.Batch.Events, 200_000)
	def(&o.Batch.Bytes, 128<<20)
	def(&o.Read.Events, 4096)
	def(&o.Read.Bytes, 4<<20)
	def(&o.CacheBytes, 128<<20)
	dur(&o.LagInterval, time.Second)
	dur(&o.HeartbeatInterval, 500*time.Millisecond)
	dur(&o.StallTimeout, 15*time.Second)
	dur(&o.StreamBehindTimeout, 5*time.Second)
	dur(&o.DrainTimeout, 10*time.Second)
	if o.Guard == nil {
		o.Guard = func(StreamInfo, StreamIdentity, uint64, uint64) error { return nil }
	}
	if o.Observer == nil {
		o.Observer = nopObserver{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

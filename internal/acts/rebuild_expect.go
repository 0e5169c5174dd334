package acts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// Expectation is what a rebuild says before it folds anything.
type Expectation struct {
	Generation int64   `json:"generation"`  // that is built
	Position   uint64  `json:"position"`    // reading begins after it: where an earlier run was cut off, or 0
	Messages   uint64  `json:"messages"`    // that the stream holds from there on
	Accounts   uint64  `json:"accounts"`    // about: the stream's subjects
	Workers    int     `json:"workers"`     // processes
	Passes     int     `json:"passes"`      // of each process, over its share of the partitions
	States     int64   `json:"states"`      // bytes that the states of all accounts take in memory, about
	Cache      int64   `json:"cache"`       // bytes of memory that all processes together have for them
	Spool      int64   `json:"spool"`       // bytes on disk that messages for later passes take, about; then they are gone
	Disk       int64   `json:"disk"`        // bytes in the database, as the live generation takes
	Sample     int     `json:"sample"`      // messages that were read for ReadRate
	ReadRate   float64 `json:"read_rate"`   // messages a second of reading alone, measured just before
	FoldFactor float64 `json:"fold_factor"` // how many times as long as reading alone a rebuild takes
	Seconds    float64 `json:"seconds"`     // the time that it takes, about
}

// foldFactor is how many times as long as reading alone a rebuild takes on two cores,
// which PostgreSQL and NATS share with it: a short run of `make bench` gave 10 with few
// accounts and 11 with many, and the figures in doc/performance.md are held against it.
// More cores make it less, and a slower disk more.
const foldFactor = 10

// Bounds of the reading that is measured.
const (
	sampleMessages = 20_000
	sampleTime     = time.Second
)

// expect works out what building will take, for shares of the partitions.
func (r *Rebuilder) expect(ctx context.Context, own engine.Ownership, info engine.StreamInfo, shares [][]int) (e Expectation, err error) {
	e = Expectation{Generation: own.Generation, Accounts: info.Subjects, Workers: max(len(shares), 1), Passes: 1, FoldFactor: foldFactor,
		States: int64(stateSize(info)), Cache: int64(r.Engine.CacheBytes * max(len(shares), 1)), Position: lowest(own.Checkpoints)}
	for _, share := range shares {
		e.Passes = max(e.Passes, len(r.passes(ofShare(own.Checkpoints, share), info)))
	}
	if e.Messages, err = r.Stream.CountAfter(ctx, e.Position); err != nil {
		return e, err
	}
	if e.Disk, err = readmodel.GenerationSize(ctx, r.Pool, r.Live.Number); err != nil {
		return e, err
	}
	bytes, took, err := r.sample(ctx, &e)
	if err != nil || e.Sample == 0 {
		return e, err
	}
	e.ReadRate = float64(e.Sample) / took.Seconds()
	if e.Passes > 1 {
		all := float64(bytes) / float64(e.Sample) * float64(e.Messages)
		e.Spool = min(int64(all*float64(e.Passes-1)/float64(e.Passes)), r.Spool*int64(e.Workers))
	}
	e.Seconds = foldFactor * float64(e.Messages) / e.ReadRate
	e.Seconds = max(e.Seconds, e.limited(r.MaxRate))
	return e, nil
}

// limited is how many seconds --max-rate takes: each process reads all messages, and reads
// back those of its share that it has kept for later passes.
func (e *Expectation) limited(maxRate int) float64 {
	if maxRate == 0 {
		return 0
	}
	read := float64(e.Messages) * (float64(e.Workers) + float64(e.Passes-1)/float64(e.Passes))
	return read / float64(maxRate)
}

// sample reads the first messages, and tells how many bytes they would take in a file
// and how long it took.
func (r *Rebuilder) sample(ctx context.Context, e *Expectation) (bytes int, took time.Duration, err error) {
	if e.Messages == 0 {
		return 0, 0, nil
	}
	limit, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	reader, err := r.Stream.Open(ctx, e.Position)
	if err != nil {
		return 0, 0, err
	}
	defer reader.Close()
	began := time.Now()
	took = 1 // until the last message came: what the server skips, or somebody removes meanwhile, is waited for
	var buf []projections.Message
	for e.Sample < sampleMessages && uint64(e.Sample) < e.Messages {
		buf, err = reader.Next(limit, buf[:0], engine.Bound{Events: 4096, Bytes: 4 << 20})
		if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return 0, 0, fmt.Errorf("measure how fast the stream is read: %w", err)
		}
		e.Sample, took = e.Sample+len(buf), max(time.Since(began), 1)
		for i := range buf {
			bytes += buf[i].Size()
		}
	}
	return bytes, took, nil
}

// lowest is the lowest position of checkpoints.
func lowest(checkpoints []engine.Checkpoint) (position uint64) {
	position = math.MaxUint64
	for _, c := range checkpoints {
		position = min(position, c.Position)
	}
	return position
}

// ofShare are the checkpoints of these partitions.
func ofShare(checkpoints []engine.Checkpoint, share []int) (out []engine.Checkpoint) {
	in := map[int]bool{}
	for _, p := range share {
		in[p] = true
	}
	for _, c := range checkpoints {
		if in[c.Partition] {
			out = append(out, c)
		}
	}
	return out
}

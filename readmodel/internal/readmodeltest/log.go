package readmodeltest

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections"
	"accountexport/projections/engine"
)

// MessageLog is a stream in memory that does not grow. It implements [engine.Source].
type MessageLog []projections.Message

// NewLog is n messages of a workload, from position 1 on.
func NewLog(seed uint64, n int, cfg workload.Config) MessageLog {
	return logOf(n, workload.New(seed, cfg).Next)
}

// NewBusyLog is n messages of a workload, and after each of them one of three accounts
// with long sections.
func NewBusyLog(seed uint64, n int, cfg workload.Config) MessageLog {
	g, busy, i := workload.New(seed, cfg), workload.NewBacklog(seed, 3, n), 0
	return logOf(2*n, func() workload.Message {
		if i++; i%2 == 0 {
			m, _ := busy.Next()
			return m
		}
		return g.Next()
	})
}

func logOf(n int, next func() workload.Message) MessageLog {
	var l MessageLog
	for i := range n {
		m := next()
		h := fnv.New32()
		h.Write([]byte(m.Subject))
		l = append(l, projections.Message{Position: uint64(i + 1), Time: Noon.Add(time.Duration(i) * time.Second),
			Partition: int(h.Sum32() % uint32(Stream.Partitions)), Message: events.Message{Subject: m.Subject, Header: m.Header, Data: m.Data}})
	}
	return l
}

func (l MessageLog) Info(context.Context) (engine.StreamInfo, error) {
	info := Stream
	info.First, info.Time = 1, Noon
	if len(l) > 0 {
		info.First, info.Last = l[0].Position, l[len(l)-1].Position
	}
	return info, nil
}

func (l MessageLog) FirstAfter(_ context.Context, after uint64) (uint64, bool, error) {
	if rest := l.after(after); rest != nil {
		return rest[0].Position, true, nil
	}
	return 0, false, nil
}

func (l MessageLog) At(_ context.Context, position uint64) (projections.Message, bool, error) {
	if rest := l.after(position - 1); rest != nil && rest[0].Position == position {
		return rest[0], true, nil
	}
	return projections.Message{}, false, nil
}

func (l MessageLog) Open(ctx context.Context, after uint64) (engine.Reader, error) {
	return NewGrowing(l).Open(ctx, after)
}

func (l MessageLog) after(position uint64) MessageLog {
	i := slices.IndexFunc(l, func(m projections.Message) bool { return m.Position > position })
	if i < 0 {
		return nil
	}
	return l[i:]
}

// Without is the log without some of its messages.
func (l MessageLog) Without(out func(projections.Message) bool) MessageLog {
	return slices.DeleteFunc(slices.Clone(l), out)
}

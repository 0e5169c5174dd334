package console

import (
	"context"
	"net/http"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
)

// overviewView is the first screen: how projecting is doing, as of the last look.
type overviewView struct {
	At         time.Time       `json:"at"`
	Failed     string          `json:"failed"` // why the last look has found nothing; empty where it has
	Generation int64           `json:"generation"`
	Version    string          `json:"version"`
	Stream     string          `json:"stream"`
	Position   uint64          `json:"position"`
	End        uint64          `json:"end"`
	Lag        uint64          `json:"lag_events"`
	Partitions []partitionView `json:"partitions"`
	Samples    []sample        `json:"samples"`
}

type partitionView struct {
	Partition int    `json:"partition"`
	Position  uint64 `json:"position"`
	Behind    uint64 `json:"behind"`
	Owner     string `json:"owner"`
}

func (v *overviewView) liveTopic() string { return "overview" }

// look looks at the read model and the stream, for the hub.
func (c *Console) look(ctx context.Context) (*acts.Status, error) {
	return c.monitor.Look(ctx)
}

func (c *Console) overview(r *http.Request) (any, error) {
	if _, err := c.on(); err != nil {
		return nil, err
	}
	l, err := c.hub.current(r.Context())
	if err != nil {
		return nil, err
	}
	return c.overviewOf(l), nil
}

func (c *Console) overviewOf(l *look) *overviewView {
	v := &overviewView{At: l.At, Partitions: []partitionView{}, Samples: c.hub.history.all()}
	if l.Err != nil {
		v.Failed = cli.Printable(asFailure(l.Err).Error())
		return v
	}
	st := l.Status
	v.Generation, v.Version, v.Stream = st.Generation.Number, st.Generation.Version(), st.Stream.Name
	v.Position, v.End, v.Lag = st.Position, st.Stream.Last, st.Lag
	for _, p := range st.Partitions {
		v.Partitions = append(v.Partitions, partitionView{p.Partition, p.Position, st.Behind(p.Checkpoint), p.Owner})
	}
	return v
}

// liveOverview is the part of the overview that follows what happens.
func (c *Console) liveOverview(string) ([]byte, error) {
	c.hub.mu.Lock()
	l := c.hub.last
	c.hub.mu.Unlock()
	if l == nil {
		return nil, errWaiting
	}
	return c.render("live overview", c.overviewOf(l))
}

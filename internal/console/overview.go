package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/projections"
)

// overviewView is the first screen: how projecting is doing, as of the last look.
type overviewView struct {
	At         time.Time         `json:"at"`
	Failed     string            `json:"failed"`   // why the last look has found nothing; empty where it has
	Severity   findings.Severity `json:"severity"` // of the most severe finding; empty where all is well
	Findings   []findingView     `json:"findings"`
	Generation int64             `json:"generation"`
	Version    string            `json:"version"`
	Stream     string            `json:"stream"`
	Position   uint64            `json:"position"` // the lowest checkpoint
	End        uint64            `json:"end"`
	Comparable bool              `json:"comparable"` // false: the stream that is there says nothing of the position
	Lag        uint64            `json:"lag_events"`
	Rate       float64           `json:"rate"`         // positions a second, of the lowest checkpoint
	Left       float64           `json:"seconds_left"` // 0 where that is not known
	Accounts   int64             `json:"accounts"`     // estimated
	Parked     int64             `json:"parked"`
	Dismissed  int64             `json:"dismissed"`
	Replicas   []replicaView     `json:"replicas"`
	Partitions []partitionView   `json:"partitions"`
	Totals     []outcomeTotal    `json:"outcomes"` // since the generation began
	Recent     recentOutcomes    `json:"recent_outcomes"`
	Samples    []sample          `json:"samples"`
	LagPlot    *plot             `json:"-"`
	RatePlot   *plot             `json:"-"`
	Paused     bool              `json:"paused"`
	MayAct     bool              `json:"may_act"`
}

// findingView is what needs attention, with what mends it.
type findingView struct {
	findings.Finding
	Link   string `json:"link"` // the screen that is about it
	Act    string `json:"act"`  // the act that mends it, where acting is allowed; empty for none
	Button string `json:"-"`    // what its button says
}

// Screen says what its link leads to.
func (v findingView) Screen() string {
	switch {
	case strings.HasSuffix(v.Link, "/erase"):
		return "Go on with the erasure"
	case v.Link == "/parked":
		return "The parked messages"
	}
	return "The " + strings.TrimPrefix(v.Link, "/")
}

type partitionView struct {
	Partition int       `json:"partition"`
	Position  uint64    `json:"position"`
	Behind    uint64    `json:"behind"`
	Owner     string    `json:"owner"` // empty: nobody
	AsOf      time.Time `json:"as_of"`
}

type replicaView struct {
	Name       string    `json:"name"`
	Partitions int       `json:"partitions"`
	Joined     time.Time `json:"joined_at"`
	Seen       float64   `json:"seconds_since_heartbeat"`
}

// Silent tells whether a replica counts as gone soon.
func (v replicaView) Silent() bool { return v.Seen > 3 }

// Ago is how long ago it was seen, for people.
func (v replicaView) Ago() string { return fmt.Sprintf("%.1f s ago", v.Seen) }

type outcomeTotal struct {
	Outcome string `json:"outcome"`
	Count   int64  `json:"count"`
}

func (v *overviewView) liveTopic() string { return "overview" }

// TimeLeft is how long it takes to the end of the stream, for people.
func (v *overviewView) TimeLeft() time.Duration { return time.Duration(v.Left * float64(time.Second)) }

// look looks at the read model and the stream, for the hub.
func (c *Console) look(ctx context.Context) (*acts.Status, error) {
	st, err := c.monitor.Look(ctx)
	if err == nil {
		c.outcomes.add(time.Now(), st.Members)
		c.building.add(st.At, st.Building)
		err = c.forgetErased(ctx)
	}
	return st, err
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
	v := &overviewView{At: l.At, Findings: []findingView{}, Replicas: []replicaView{}, Partitions: []partitionView{}, Totals: []outcomeTotal{},
		Samples: c.hub.history.all(), Recent: c.outcomes.recent(l.At), MayAct: c.cfg.AllowActs}
	v.LagPlot, v.RatePlot = plotOf(v.Samples, l.At, "lag", func(s sample) float64 { return float64(s.Lag) }), plotOf(v.Samples, l.At, "rate", func(s sample) float64 { return s.Rate })
	if l.Err != nil {
		v.Failed = cli.Printable(l.trouble())
		return v
	}
	st := l.Status
	for i, f := range findings.Of(st) {
		if i == 0 {
			v.Severity = f.Severity
		}
		v.Findings = append(v.Findings, c.findingOf(f))
	}
	v.Generation, v.Version, v.Stream = st.Generation.Number, st.Generation.Version(), st.Stream.Name
	v.Position, v.End, v.Lag, v.Comparable = st.Position, st.Stream.Last, st.Lag, st.Comparable
	v.Paused = st.Pause != nil
	v.Rate, v.Left = st.Rate, st.Left.Seconds()
	v.Accounts, v.Parked, v.Dismissed = st.Accounts, st.Parked, st.Dismissed
	var totals projections.Tally
	for _, p := range st.Partitions {
		v.Partitions = append(v.Partitions, partitionView{p.Partition, p.Position, st.Behind(p.Checkpoint), p.Owner, p.AsOf})
		for _, o := range projections.Outcomes() {
			totals[o] += p.Tally[o]
		}
	}
	for _, o := range projections.Outcomes() {
		v.Totals = append(v.Totals, outcomeTotal{o.String(), totals[o]})
	}
	for _, m := range st.Members {
		v.Replicas = append(v.Replicas, replicaView{m.Name, m.Partitions, m.JoinedAt, m.SinceHeartbeat.Seconds()})
	}
	return v
}

// findingOf adds the screen that a finding is about, and the act that mends it. Commands
// that the text names are not named again.
func (c *Console) findingOf(f findings.Finding) findingView {
	v := findingView{Finding: f}
	v.Commands = slices.DeleteFunc(slices.Clone(f.Commands), func(command string) bool { return strings.Contains(f.Text, "`"+command+"`") })
	switch f.What {
	case findings.Paused:
		v.Act, v.Button = "resume", "Resume projecting"
	case findings.Parked:
		v.Link = "/parked"
	case findings.Building, findings.BuildAbandoned:
		v.Link = "/generations"
	case findings.ErasureUnfinished:
		v.Link = "/erasures"
		if f.Account != nil {
			v.Link = "/accounts/" + f.Account.String() + "/erase"
		}
	case findings.LedgerNotExported, findings.ErasedServed:
		v.Link = "/erasures"
	case findings.Refused, findings.Unreadable, findings.Deviation:
		v.Link = "/stream"
	}
	return v
}

// liveOverview is the part of the overview that follows what happens.
func (c *Console) liveOverview(string) ([]byte, error) {
	l := c.lastLook()
	if l == nil {
		return nil, errWaiting
	}
	return c.render("live overview", c.overviewOf(l))
}

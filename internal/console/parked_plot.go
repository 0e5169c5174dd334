package console

import (
	"fmt"
	"math"
	"strings"
	"time"

	"accountexport/readmodel/admin"
)

// parkedPlot is how many messages were sent when.
type parkedPlot struct {
	Begin     time.Time `json:"begin"`
	Seconds   float64   `json:"interval_seconds"`
	Intervals []uint32  `json:"intervals"` // without those after the last message
}

// parkedPlotHeight is how high a plot is, in its own units; an interval is two wide.
const parkedPlotHeight = 48

// Path draws a bar for each interval in which anything was sent. The highest is as high as
// the plot, and none is too low to be seen.
func (p parkedPlot) Path() string {
	var d strings.Builder
	most := float64(p.most())
	for i, n := range p.Intervals {
		if n > 0 {
			h := max(2, int(math.Round(parkedPlotHeight*float64(n)/most)))
			fmt.Fprintf(&d, "M%d %dv-%dh2v%dz", 2*i, parkedPlotHeight, h, h)
		}
	}
	return d.String()
}

// Box is the plot's coordinates.
func (p parkedPlot) Box() string { return fmt.Sprintf("0 0 %d %d", 2*p.shown(), parkedPlotHeight) }

// shown is how many intervals the plot is wide: one burst is not to look as if it had gone
// on all the time.
func (p parkedPlot) shown() int { return max(len(p.Intervals), admin.SurveyBuckets/2) }

// End is the end of the plot.
func (p parkedPlot) End() time.Time { return p.Begin.Add(time.Duration(p.shown()) * p.Width()) }

// Label says what the plot shows.
func (p parkedPlot) Label() string {
	return fmt.Sprintf("Messages by when they were sent, from %s on in intervals of %s: at most %d in one",
		p.Begin.UTC().Format("2006-01-02 15:04:05 UTC"), roughly(p.Width()), p.most())
}

// Width is how long an interval is.
func (p parkedPlot) Width() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

func (p parkedPlot) most() (most uint32) {
	for _, n := range p.Intervals {
		most = max(most, n)
	}
	return most
}

// figuresOf are the figures of a survey, or of one of its groups. All its plots are of the
// same intervals.
func figuresOf(n *admin.ParkedFigures, s *admin.ParkedSurvey) parkedFigures {
	v := parkedFigures{Messages: n.Messages, Counting: n.Messages - n.Dismissed, Dismissed: n.Dismissed, Accounts: n.Accounts,
		From: n.Lowest, To: n.Top, Since: n.Since, Until: n.Until, Plot: parkedPlot{Begin: s.Begin, Seconds: s.Width.Seconds(), Intervals: []uint32{}}}
	last := -1
	for i, m := range s.Intervals {
		if m > 0 {
			last = i
		}
	}
	v.Plot.Intervals = append(v.Plot.Intervals, n.Intervals[:last+1]...)
	return v
}

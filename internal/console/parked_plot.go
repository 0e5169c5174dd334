package console

import (
	"fmt"
	"time"

	"accountexport/readmodel/admin"
)

// parkedPlot is how many messages were sent when.
type parkedPlot struct {
	Begin     time.Time `json:"begin"`
	Seconds   float64   `json:"interval_seconds"`
	Intervals []uint32  `json:"intervals"` // without those after the last message
}

// bar is one interval of a plot, in a box of 100 by 24.
type bar struct{ X, Y, Width, Height string }

// Bars are the intervals in which anything was sent. The highest is as high as the box,
// and none is too low to be seen.
func (p parkedPlot) Bars() (bars []bar) {
	most := p.most()
	const all, gap, height = 100.0, 0.2, 24.0
	step := all / float64(max(1, len(p.Intervals)))
	for i, n := range p.Intervals {
		if n > 0 {
			h := max(1.5, height*float64(n)/float64(most))
			bars = append(bars, bar{decimals(float64(i) * step), decimals(height - h), decimals(step - gap), decimals(h)})
		}
	}
	return bars
}

// Label says what the plot shows.
func (p parkedPlot) Label() string {
	return fmt.Sprintf("Messages by when they were sent, from %s on in intervals of %s: at most %d in one",
		p.Begin.UTC().Format("2006-01-02 15:04:05 UTC"), roughly(p.Width()), p.most())
}

// Width is how long an interval is.
func (p parkedPlot) Width() time.Duration { return time.Duration(p.Seconds * float64(time.Second)) }

// End is the end of the last interval.
func (p parkedPlot) End() time.Time { return p.Begin.Add(time.Duration(len(p.Intervals)) * p.Width()) }

func (p parkedPlot) most() (most uint32) {
	for _, n := range p.Intervals {
		most = max(most, n)
	}
	return most
}

func decimals(n float64) string { return fmt.Sprintf("%.2f", n) }

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

package console

import (
	"fmt"
	"strings"
	"time"
)

// A plot's own units: its right end is now, and its left end a quarter of an hour ago.
const (
	plotWidth  = 900.0 // one a second
	plotHeight = 100.0
	plotEvery  = 5 * time.Second // samples that are closer are drawn as one, the largest of them
)

// plotLine is a part of a curve without a gap, as a polyline's points.
type plotLine string

// plot is a curve of the last quarter of an hour.
type plot struct {
	Name  string
	Lines []plotLine
	Dots  []plotLine // samples that stand alone, as x,y
	Now   float64
	Most  float64
	Since time.Duration // how far back it goes
}

// plotOf draws a curve of samples, oldest first. What was not looked at for more than three
// times as long as between two looks is a gap.
func plotOf(samples []sample, now time.Time, name string, value func(sample) float64) *plot {
	p := &plot{Name: name}
	type point struct {
		at time.Time
		v  float64
	}
	var points []point
	for _, s := range samples {
		v := value(s)
		p.Most, p.Now = max(p.Most, v), v
		if n := len(points); n > 0 && s.At.Sub(points[n-1].at) < plotEvery {
			points[n-1].v = max(points[n-1].v, v)
			continue
		}
		points = append(points, point{s.At, v})
	}
	if len(points) == 0 {
		return p
	}
	p.Since = now.Sub(points[0].at)
	scale := max(p.Most, 1)
	var line []string
	end := func() {
		switch {
		case len(line) == 1:
			p.Dots = append(p.Dots, plotLine(line[0]))
		case len(line) > 1:
			p.Lines = append(p.Lines, plotLine(strings.Join(line, " ")))
		}
		line = nil
	}
	for i, at := range points {
		if i > 0 && at.at.Sub(points[i-1].at) > 3*lookIdleEvery {
			end()
		}
		x := plotWidth - now.Sub(at.at).Seconds()
		line = append(line, fmt.Sprintf("%.0f,%.1f", max(0, x), plotHeight-at.v/scale*(plotHeight-4)-2))
	}
	end()
	return p
}

// X and Y are where a sample that stands alone is drawn.
func (l plotLine) X() string { x, _, _ := strings.Cut(string(l), ","); return x }

// Y is its height.
func (l plotLine) Y() string { _, y, _ := strings.Cut(string(l), ","); return y }

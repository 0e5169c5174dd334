package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// columns is the width of Grafana's grid.
const columns = 24

// row is a part of the dashboard below a heading.
type row struct {
	title  string
	panels []panel
}

// panel is what is shown in one place.
type panel struct {
	title         string
	help          string // what is shown, and what good looks like
	alerts        string // headings of doc/runbook.md, separated by spaces; empty: none is about it
	width, height uint32
	draw          func(p panel) cog.Builder[dashboard.Panel]
	unit          string
	queries       []query
	good          []dashboard.Threshold // colours; nil: none
	words         map[string]word       // what a figure is called
	nothing       word                  // what is said where there is no figure
	stacked       bool
	id            uint32
	at            dashboard.GridPos
}

// word is what a figure is called, and the colour of that.
type word struct{ text, colour string }

// query is a question to Prometheus. <all> stands for the labels of all instances of the
// deployment, <some> for those of the chosen ones.
type query struct {
	expr   string
	legend string
}

// text is the query as Prometheus, and Grafana's variables, have it.
func (q query) text() string {
	return strings.NewReplacer("<all>", `job=~"$job"`, "<some>", `job=~"$job",instance=~"$instance"`).Replace(q.expr)
}

// about is the panel's description.
func (p panel) about() string {
	if p.alerts == "" {
		return p.help
	}
	return p.help + "\n\nRunbook (doc/runbook.md): " + strings.Join(strings.Fields(p.alerts), ", ") + "."
}

// grid puts panels side by side, and the next line below the tallest of the last.
type grid struct {
	to         *dashboard.DashboardBuilder
	x, y, tall uint32
	id         uint32
}

func (g *grid) panels(all ...panel) {
	for _, p := range all {
		if g.x+p.width > columns {
			g.line()
		}
		g.id++
		p.id, p.at = g.id, dashboard.GridPos{X: g.x, Y: g.y, W: p.width, H: p.height}
		g.to.WithPanel(p.draw(p))
		g.x += p.width
		g.tall = max(g.tall, p.height)
	}
	g.line()
}

// line begins the next line.
func (g *grid) line() { g.x, g.y, g.tall = 0, g.y+g.tall, 0 }

// row adds a heading and its panels. They stand beside it in the JSON, and not within,
// since Grafana shows what is within only where the row is collapsed.
func (g *grid) row(r row) {
	g.id++
	g.to.WithRow(dashboard.NewRowBuilder(r.title).Id(g.id).GridPos(dashboard.GridPos{X: 0, Y: g.y, W: columns, H: 1}))
	g.y++
	g.panels(r.panels...)
}

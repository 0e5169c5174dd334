package console

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"accountexport/internal/cli"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// generationsView is the screen of all generations.
type generationsView struct {
	At          time.Time        `json:"at"`
	Failed      string           `json:"failed"` // why nothing was found; empty where it was
	Generations []generationView `json:"generations"`
	Building    *buildView       `json:"building"` // null where none is being built
	Running     bool             `json:"running"`  // a program builds, cuts over or rolls back
	Job         string           `json:"job"`      // of this console that does; empty for none
	Paused      string           `json:"paused"`   // by whom and since when; empty where projecting is not paused
	MayAct      bool             `json:"may_act"`
}

// generationView is one of them.
type generationView struct {
	Number     int64      `json:"generation"`
	State      string     `json:"state"` // building, rolling back, live, retired or failed
	Version    string     `json:"version"`
	Position   uint64     `json:"position"` // its lowest checkpoint
	End        uint64     `json:"end"`      // of the stream; 0 where that says nothing about its positions
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"` // when it last went live or stopped being live, or was given up
	Stream     string     `json:"stream"`
	Format     int        `json:"format"`
	Bytes      int64      `json:"bytes"` // on disk
	May        []string   `json:"may"`   // what may be done with it: compare, cutover, rollback, drop
}

// Can tells whether something may be done with it.
func (g *generationView) Can(what string) bool {
	for _, may := range g.May {
		if may == what {
			return true
		}
	}
	return false
}

// Size is how much room it takes, for people.
func (g *generationView) Size() string { return sizeOf(g.Bytes) }

// Tone is the class of its badge.
func (g *generationView) Tone() string {
	switch g.State {
	case readmodel.StateLive:
		return "good"
	case readmodel.StateFailed:
		return "bad"
	case readmodel.StateRetired:
		return ""
	}
	return "warn"
}

func (v *generationsView) liveTopic() string { return "generations" }

// routeGenerations adds the screens of this file.
func (c *Console) routeGenerations(m *mux.Router) {
	c.screen(m, "/generations", "generations", c.generations)
	c.screen(m, "/generations/{generation:[0-9]+}", "generation", c.generation)
	c.screen(m, "/generations/{generation:[0-9]+}/accounts/{account}", "comparison", c.comparedAccount)
}

// generationsFound is what the screens of generations show, as of one moment.
type generationsFound struct {
	at      time.Time
	all     []admin.GenerationStatus
	running bool
	err     error
}

// readGenerations reads it, by three statements.
func (c *Console) readGenerations(ctx context.Context) (f generationsFound) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	f.at = time.Now()
	if f.all, f.err = admin.ReadGenerations(ctx, c.cfg.Pool); f.err == nil {
		f.running, f.err = admin.RebuildRunning(ctx, c.cfg.Pool)
	}
	return f
}

func (c *Console) generations(r *http.Request) (any, error) {
	if _, err := c.on(); err != nil {
		return nil, err
	}
	l, err := c.hub.current(r.Context())
	if err != nil {
		return nil, err
	}
	found := c.readGenerations(r.Context())
	if found.err != nil {
		return nil, found.err
	}
	return c.generationsOf(l, found), nil
}

// generationsOf puts together what was found and what the last look has.
func (c *Console) generationsOf(l *look, found generationsFound) *generationsView {
	v := &generationsView{At: found.at, Generations: []generationView{}, Running: found.running, MayAct: c.cfg.AllowActs && c.cfg.Rebuilder != nil}
	if found.err != nil {
		v.Failed = cli.Printable(asFailure(found.err).Error())
		return v
	}
	if j := c.jobs.runs(rebuildKey); j != nil {
		v.Job = j.ID
	}
	if l.Err == nil && l.Status.Pause != nil {
		v.Paused = l.Status.Pause.String()
	}
	back := lastRetired(found.all)
	for _, g := range found.all {
		row := generationView{Number: g.Number, State: g.State, Version: g.Version(), Position: g.Position, StartedAt: g.Started.UTC(),
			Stream: g.Stream.Name, Format: g.Format, Bytes: g.Bytes, May: []string{}}
		if g.RollingBack() {
			row.State = "rolling back"
		}
		if g.Finished != nil {
			at := g.Finished.UTC()
			row.FinishedAt = &at
		}
		if l.Err == nil && g.FoldedFrom(l.Status.Stream) && l.Status.Stream.Last >= g.Position {
			row.End = l.Status.Stream.Last
		}
		switch {
		case g.State == readmodel.StateBuilding && g.Finished == nil:
			v.Building = c.buildingOf(g, row.End, found)
			if !found.running {
				row.May = append(row.May, "compare", "cutover", "drop")
			}
		case g.State == readmodel.StateRetired, g.RollingBack() && !found.running:
			if g.Number == back && !found.running {
				row.May = append(row.May, "rollback")
			}
			row.May = append(row.May, "drop")
		case g.State == readmodel.StateFailed:
			row.May = append(row.May, "drop")
		}
		v.Generations = append(v.Generations, row)
	}
	return v
}

// lastRetired is the generation that was live last, to which a roll-back goes; 0 for none.
func lastRetired(all []admin.GenerationStatus) (number int64) {
	var at time.Time
	for _, g := range all {
		if (g.State == readmodel.StateRetired || g.RollingBack()) && (number == 0 || g.Finished.After(at)) {
			number, at = g.Number, *g.Finished
		}
	}
	return number
}

// singleGenerationView is the screen of one generation.
type singleGenerationView struct {
	*generationsView
	Is    generationView `json:"is"`
	Other int64          `json:"live"` // the live one; 0 for none

	Comparison string `json:"comparison"` // the act that has compared them last; empty for none
}

func (v *singleGenerationView) pageTitle() string { return fmt.Sprintf("Generation %d", v.Is.Number) }
func (v *singleGenerationView) liveTopic() string { return fmt.Sprintf("generation:%d", v.Is.Number) }

func (c *Console) generation(r *http.Request) (any, error) {
	all, err := c.generations(r)
	if err != nil {
		return nil, err
	}
	return c.singleGeneration(all.(*generationsView), mux.Vars(r)["generation"])
}

func (c *Console) singleGeneration(all *generationsView, number string) (any, error) {
	n, err := strconv.ParseInt(number, 10, 64)
	v := &singleGenerationView{generationsView: all}
	for _, g := range all.Generations {
		if g.State == readmodel.StateLive {
			v.Other = g.Number
		}
		if err == nil && g.Number == n {
			v.Is = g
		}
	}
	if v.Is.Number == 0 {
		return nil, notThere("There is no generation "+cli.Printable(number), "It was dropped, or never was. `projector generations list` lists those that are there.")
	}
	if v.Is.Can("compare") {
		v.Comparison = c.lastComparison(v.Is.Number, v.Other)
	}
	return v, nil
}

// sizeOf is a number of bytes as people say it.
func sizeOf(bytes int64) string {
	size, unit := float64(bytes), "bytes"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size < 1024 {
			break
		}
		size, unit = size/1024, next
	}
	if unit == "bytes" || size >= 100 {
		return fmt.Sprintf("%.0f %s", size, unit)
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

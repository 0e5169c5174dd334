package console

import (
	"context"
	"sync"
	"time"

	"accountexport/internal/acts"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// parkedCache is the survey of all parked messages, which all pages share. It is read anew
// when a page is opened and it is older than two looks, and for the pages that follow it
// when the counts have changed: at most once a second, and at most for a tenth of the time
// where there are so many messages that reading them takes longer.
type parkedCache struct {
	reading sync.Mutex // held while it is read, so that nobody else reads it meanwhile

	mu      sync.Mutex
	survey  *admin.ParkedSurvey // nil before it was read
	at      time.Time           // when it was read
	stale   bool                // an act has changed something since
	changes int                 // acts that have changed something
	took    time.Duration
	counts  parkedCounts // at the look before it was read
	refresh bool         // a goroutine reads it for the pages that follow
}

// parkedCounts are figures of a look that change whenever the survey does.
type parkedCounts struct {
	generation                    int64
	counting, dismissed, everSeen int64
}

func countsOf(st *acts.Status) parkedCounts {
	n := parkedCounts{generation: st.Generation.Number, counting: st.Parked, dismissed: st.Dismissed}
	for _, p := range st.Partitions {
		n.everSeen += int64(p.Tally[projections.Parked])
	}
	return n
}

// fresh tells whether what is there is new enough for a page that is opened.
func (p *parkedCache) fresh() bool {
	return p.survey != nil && !p.stale && time.Since(p.at) < max(2*lookEvery, min(time.Minute, 10*p.took))
}

// current is the survey, for a page that is opened.
func (p *parkedCache) current(ctx context.Context, read func(context.Context) (admin.ParkedSurvey, error)) (*admin.ParkedSurvey, time.Time, error) {
	if s, at := p.get(); s != nil {
		return s, at, nil
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	if s, at := p.get(); s != nil { // somebody else has read it meanwhile
		return s, at, nil
	}
	return p.read(ctx, read)
}

func (p *parkedCache) get() (*admin.ParkedSurvey, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh() {
		return p.survey, p.at
	}
	return nil, time.Time{}
}

// read reads it; reading is held.
func (p *parkedCache) read(ctx context.Context, read func(context.Context) (admin.ParkedSurvey, error)) (*admin.ParkedSurvey, time.Time, error) {
	began := time.Now()
	p.mu.Lock()
	changes := p.changes
	p.mu.Unlock()
	s, err := read(ctx)
	if err != nil {
		return nil, began, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.survey, p.at, p.took, p.stale = &s, began, time.Since(began), p.changes != changes
	return p.survey, began, nil
}

// forget has the next page read it anew: an act has changed it.
func (p *parkedCache) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	p.stale, p.counts = true, parkedCounts{}
}

// surveyParked surveys all that is parked.
func (c *Console) surveyParked(ctx context.Context) (admin.ParkedSurvey, error) {
	return admin.SurveyParked(ctx, c.cfg.Pool, admin.ParkedFilter{}, 0, c.cfg.Privacy.parkedType)
}

// liveParked is the part of the screen that follows what happens. The survey is read
// beside the looks, which do not wait for it.
func (c *Console) liveParked(string) ([]byte, error) {
	if l := c.lastLook(); l != nil && l.Err == nil {
		c.refreshParked(countsOf(l.Status))
	}
	c.parked.mu.Lock()
	s, at := c.parked.survey, c.parked.at
	c.parked.mu.Unlock()
	if s == nil {
		return nil, nil // the page stays as it is until it is read
	}
	return c.render("live parked", c.parkedView(parkedFilter{}, s, at))
}

// refreshParked reads the survey anew where counts have changed since, and tells the
// pages that follow it.
func (c *Console) refreshParked(counts parkedCounts) {
	p := c.parked
	p.mu.Lock()
	due := !p.refresh && counts != p.counts && time.Since(p.at) >= max(lookEvery, 10*p.took)
	p.refresh = p.refresh || due
	p.mu.Unlock()
	if !due {
		return
	}
	err := c.jobs.goWith(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		p.reading.Lock()
		_, _, err := p.read(ctx, c.surveyParked)
		p.reading.Unlock()
		p.mu.Lock()
		if p.refresh = false; err == nil {
			p.counts = counts
		}
		p.mu.Unlock()
		if err == nil {
			c.hub.tell("parked")
		}
	})
	if err != nil {
		p.mu.Lock()
		p.refresh = false
		p.mu.Unlock()
	}
}

// liveParkedTotals is all that is parked in numbers, as of the last look.
func (c *Console) liveParkedTotals(string) ([]byte, error) {
	return c.render("live parked-totals", c.parkedTotals())
}

func (c *Console) parkedTotals() *parkedTotals {
	l := c.lastLook()
	if l == nil || l.Err != nil {
		return nil
	}
	return &parkedTotals{l.At, l.Status.Parked, l.Status.Dismissed}
}

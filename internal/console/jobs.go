package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/cli"
)

// mostJobs is how many acts that have ended are remembered.
const mostJobs = 100

// job is an act that somebody has asked for. It goes on when the page is closed, and ends
// with the program; every act may be cut off and done again.
type job struct {
	ID    string
	Act   string // a word of the audit
	Title string // what it does, as a sentence without its end
	User  string
	Began time.Time
	about *events.UUID // the account that it concerns; nil for nobody in particular
	key   string       // of what cannot be done twice at once
	asks  string       // what exactly was asked for: the same request joins this one, and another with its key is refused
	back  string       // the page that it was asked for on

	mayEnd bool                    // somebody may end it before it is done
	cancel context.CancelCauseFunc // ends it; set by start

	mu       sync.Mutex
	steps    []string
	progress *progress
	ended    time.Time // zero while it runs
	err      error
	summary  string
	result   any // shown by the template "result ACT"; nil for none
	done     chan struct{}
	changed  func()
	erased   []events.UUID // accounts that were erased since it began, to be looked for when it has ended; guarded by jobs.mu
	joined   []string      // who have asked for it beside User; guarded by mu
	found    []events.UUID // accounts that it names, once it has ended and somebody has asked; guarded by jobs.mu
}

// progress is how far an act is.
type progress struct {
	At, Of uint64
	Rate   float64 // a second; 0 where it is not known yet
	began  time.Time
	first  uint64
}

// step tells what the act does from now on.
func (j *job) step(format string, args ...any) {
	j.mu.Lock()
	if text := fmt.Sprintf(format, args...); len(j.steps) == 0 || j.steps[len(j.steps)-1] != text {
		j.steps = append(j.steps, text)
	}
	if len(j.steps) > 200 { // the newest are worth more
		j.steps = append([]string{"…"}, j.steps[len(j.steps)-150:]...)
	}
	j.mu.Unlock()
	j.changed()
}

// at tells how far the act is.
func (j *job) at(now, of uint64) {
	j.mu.Lock()
	if j.progress == nil {
		j.progress = &progress{began: time.Now(), first: now}
	}
	p := j.progress
	p.At, p.Of = now, of
	if d := time.Since(p.began).Seconds(); d > 0.5 && now > p.first {
		p.Rate = float64(now-p.first) / d
	}
	j.mu.Unlock()
	j.changed()
}

// conclude sets what the act has come to, before it ends.
func (j *job) conclude(result any, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.summary, j.result = fmt.Sprintf(format, args...), result
}

func (j *job) end(err error) {
	j.mu.Lock()
	j.ended, j.err = time.Now(), err
	j.mu.Unlock()
	close(j.done)
	j.changed()
}

// jobView is what a page shows of an act.
type jobView struct {
	ID       string        `json:"id"`
	Act      string        `json:"act"`
	Title    string        `json:"title"`
	User     string        `json:"user"`
	Account  string        `json:"account"` // that it concerns; empty for nobody in particular
	Began    time.Time     `json:"began_at"`
	Ended    *time.Time    `json:"ended_at"` // null while it runs
	Failed   string        `json:"failed"`   // why; empty where it has not
	Summary  string        `json:"summary"`  // what it has come to
	Steps    []string      `json:"steps"`
	At       uint64        `json:"at"`
	Of       uint64        `json:"of"` // 0 where the act has no measure
	Rate     float64       `json:"rate"`
	Left     float64       `json:"seconds_left"` // 0 where it is not known
	Result   any           `json:"result"`
	Back     string        `json:"back"`
	MayEnd   bool          `json:"may_end"` // it can be ended before it is done
	HTMLOnly template.HTML `json:"-"`       // the result, rendered
}

func (v *jobView) pageTitle() string { return v.Title }
func (v *jobView) liveTopic() string { return "job:" + v.ID }

// Percent is how far it is, for people.
func (v *jobView) Percent() int {
	if v.Of == 0 {
		return 0
	}
	return int(min(100, v.At*100/v.Of))
}

// TimeLeft is how long it takes yet.
func (v *jobView) TimeLeft() time.Duration { return time.Duration(v.Left * float64(time.Second)) }

func (j *job) view() *jobView {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := &jobView{ID: j.ID, Act: j.Act, Title: j.Title, User: j.User, Began: j.Began, Steps: append([]string{}, j.steps...), Summary: j.summary,
		Result: j.result, Back: j.back, MayEnd: j.mayEnd && j.ended.IsZero()}
	if j.about != nil {
		v.Account = j.about.String()
	}
	if !j.ended.IsZero() {
		v.Ended = &j.ended
	}
	if j.err != nil {
		v.Failed = cli.Printable(j.err.Error())
		var f *failure
		if errors.As(j.err, &f) {
			v.Failed = f.Error()
		}
	}
	if p := j.progress; p != nil {
		v.At, v.Of, v.Rate = p.At, p.Of, p.Rate
		if p.Rate > 0 && p.Of > p.At {
			v.Left = float64(p.Of-p.At) / p.Rate
		}
	}
	return v
}

// jobs are the acts that run, and those that have ended. It is safe for concurrent use.
type jobs struct {
	mu      sync.Mutex
	ctx     context.Context // of the program; nil before begin
	over    chan struct{}   // closed when ctx ends
	all     []*job          // oldest first
	running sync.WaitGroup
}

func newJobs() *jobs { return &jobs{over: make(chan struct{})} }

// begin lets acts begin, until ctx ends.
func (s *jobs) begin(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = ctx
	context.AfterFunc(ctx, func() { close(s.over) })
}

// ending is closed when the program ends.
func (s *jobs) ending() <-chan struct{} { return s.over }

// wait waits until all acts have ended, which the end of the program's context has them do.
func (s *jobs) wait() { s.running.Wait() }

func (s *jobs) find(id string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.all {
		if j.ID == id && id != "" {
			return j
		}
	}
	return nil
}

// start begins an act, unless one with its key is running: then that one is returned.
func (s *jobs) start(j *job, do func(context.Context, *job) error) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return nil, ending("Nothing was begun. ")
	}
	for _, other := range s.all {
		if other.key != j.key || j.key == "" || other.over() {
			continue
		}
		if other.asks != j.asks {
			return nil, conflict("Nothing was begun: another act is running", "It is “%s”, asked for by %s, and was asked for otherwise. See how it ends, /jobs/%s, and ask again then.",
				other.Title, other.User, other.ID)
		}
		return other, nil
	}
	j.ID, j.Began, j.done = strings.ToLower(rand.Text()[:16]), time.Now(), make(chan struct{})
	s.all = append(s.all, j)
	for i := 0; i < len(s.all) && len(s.all) > mostJobs; {
		if s.all[i].over() {
			s.all = append(s.all[:i], s.all[i+1:]...)
		} else {
			i++
		}
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	j.cancel = cancel
	s.running.Go(func() {
		defer cancel(nil)
		j.end(do(ctx, j))
		s.dropForgotten()
	})
	return j, nil
}

// goWith runs do in a goroutine that the program's end waits for, with the program's
// context.
func (s *jobs) goWith(do func(context.Context)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return ending("")
	}
	ctx := s.ctx
	s.running.Go(func() { do(ctx) })
	return nil
}

// ended tells whether nothing may begin any more, or yet. s.mu is locked.
func (s *jobs) ended() bool { return s.ctx == nil || s.ctx.Err() != nil }

// ending is the failure of what cannot begin since the program ends.
func ending(first string) error {
	return &failure{Status: http.StatusServiceUnavailable, Type: "ending", Title: "The console is ending", Detail: first + "Ask again once it is back."}
}

// runs is the act with a key that is running; nil for none.
func (s *jobs) runs(key string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.all {
		if j.key == key && !j.over() {
			return j
		}
	}
	return nil
}

func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// job is the screen of one act.
func (c *Console) job(r *http.Request) (any, error) {
	if j := c.jobs.find(mux.Vars(r)["job"]); j != nil {
		if err := c.lookAtJob(r.Context(), userOf(r), j); err != nil {
			return nil, err
		}
		return c.jobScreen(j)
	}
	return nil, notThere("That act is not known", "The console remembers the last %d, until it is started again. The audit has all.", mostJobs)
}

// jobScreen renders the act's result, too.
func (c *Console) jobScreen(j *job) (*jobView, error) {
	v := j.view()
	name := "result " + v.Act
	if v.Result == nil || c.pages.set.Lookup(name) == nil {
		return v, nil
	}
	html, err := c.render(name, v.Result)
	v.HTMLOnly = template.HTML(html) //nolint:gosec // made by html/template
	return v, err
}

// liveJob is the part of an act's page that follows it.
func (c *Console) liveJob(id string) ([]byte, error) {
	j := c.jobs.find(id)
	if j == nil {
		return nil, fmt.Errorf("%w: the act %q", errNoTopic, id)
	}
	v, err := c.jobScreen(j)
	if err != nil {
		return nil, err
	}
	return c.render("live job", v)
}

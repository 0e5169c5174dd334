package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
)

// Config says what a console is of, and who may do what. Fields without a default are
// required.
type Config struct {
	Pool *pgxpool.Pool

	// Connect connects to JetStream, and waits for it as long as ctx lasts. It is
	// called once, by Run.
	Connect func(ctx context.Context) (acts.Target, error)
	Waiting string // for what it waits meanwhile, such as "NATS at 127.0.0.1:4222"

	// Rebuilder makes one that is not ready yet, with the pools of a rebuild; close gives
	// back what it has. Default: generations cannot be changed.
	Rebuilder func(ctx context.Context, on acts.Target, command string) (r *acts.Rebuilder, close func(), err error)

	Takeover time.Duration // a replica without a heartbeat for so long counts as dead

	AllowActs bool    // default: the console only reads
	Privacy   Privacy // default: [Masked]

	// UserHeader is the header in which a proxy says who asks; only Proxies are believed.
	// Default: whoever comes from this machine may ask, and User is who that is.
	UserHeader string
	Proxies    []netip.Prefix
	User       string

	Logger *slog.Logger

	sendWithin time.Duration // in which a page takes what it follows, or is let go of; default: 30 s
}

// Console serves the pages, once its Run is running. It is safe for concurrent use.
type Console struct {
	cfg    Config
	log    *slog.Logger
	handle http.Handler
	pages  *pages
	hub    *hub
	jobs   *jobs

	outcomes        *outcomes       // what the looks have counted
	building        buildSeries     // how far a rebuild was in the last looks
	generationsSeen generationsLook // for the pages that follow generations

	accounts *accountScreens
	parked   *parkedCache

	target  atomic.Pointer[acts.Target] // nil until JetStream was reached
	monitor *acts.StatusMonitor         // of the hub's goroutine; set before it looks first

	facts      *facts              // of the stream; set by routeStream
	forgetters []func(events.UUID) // of an account that is erased; set before Run, see onForget
}

// New makes a console. It serves before Run is called, and then says that it waits.
func New(cfg Config) (*Console, error) {
	c := &Console{cfg: cfg, log: cfg.Logger}
	c.cfg.sendWithin = cmp.Or(cfg.sendWithin, 30*time.Second)
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.pages, err = loadPages(); err != nil {
		return nil, err
	}
	c.jobs, c.outcomes = newJobs(), &outcomes{}
	c.hub = newHub(c.look, c.within)
	c.hub.topics["overview"] = c.liveOverview
	c.hub.topics["generations"], c.hub.topics["generation"] = c.liveGenerations, c.liveGeneration
	c.handle = c.guard(c.routes())
	return c, nil
}

// Run connects to JetStream, and looks at the read model for all open pages, until ctx
// ends. It returns after the acts that are running have ended, which ctx ends, too.
func (c *Console) Run(ctx context.Context) error {
	defer c.jobs.wait()
	c.jobs.begin(ctx)
	target, err := c.cfg.Connect(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // asked to end while it waited
	case err != nil:
		return err
	}
	defer target.Stream.Close()
	c.monitor = &acts.StatusMonitor{Target: target}
	c.target.Store(&target)
	c.hub.run(ctx)
	return nil
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handle.ServeHTTP(w, r) }

// routes are all paths. A new screen is a line here, and one in nav.
func (c *Console) routes() http.Handler {
	m := mux.NewRouter()
	m.NotFoundHandler = http.HandlerFunc(c.notFound)
	m.MethodNotAllowedHandler = http.HandlerFunc(c.methodNotAllowed)
	m.PathPrefix("/assets/").Handler(assets()).Methods(http.MethodGet, http.MethodHead)
	m.HandleFunc("/events", c.events).Methods(http.MethodGet)
	c.screen(m, "/", "overview", c.overview)
	c.screen(m, "/jobs/{job}", "job", c.job)
	c.routeAccounts(m)
	c.routeParked(m)
	c.routeGenerations(m)
	c.routeStream(m)
	c.routeAudit(m)
	c.routeActs(m)
	return m
}

// view makes what a screen shows. It is rendered by the template of the screen's name,
// and is the JSON of /api/ and the same path.
type view func(r *http.Request) (any, error)

// screen adds a screen's page and its JSON.
func (c *Console) screen(m *mux.Router, path, name string, v view) {
	get := []string{http.MethodGet, http.MethodHead}
	m.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		if made, err := v(r); err != nil {
			c.failPage(w, r, err)
		} else {
			c.page(w, r, http.StatusOK, name, made)
		}
	}).Methods(get...)
	api := "/api" + path
	if path == "/" {
		api = "/api/overview"
	}
	m.HandleFunc(api, func(w http.ResponseWriter, r *http.Request) {
		if made, err := v(r); err != nil {
			c.failJSON(w, r, err)
		} else {
			writeJSON(w, http.StatusOK, made)
		}
	}).Methods(get...)
}

// errWaiting means that JetStream was not reached yet.
var errWaiting = errors.New("not connected yet")

// on is the stream and the read model, once JetStream was reached.
func (c *Console) on() (acts.Target, error) {
	if t := c.target.Load(); t != nil {
		return *t, nil
	}
	return acts.Target{}, &failure{Status: http.StatusServiceUnavailable, Type: "not-connected", Title: "The console is not connected yet",
		Detail: fmt.Sprintf("It waits for %s, and goes on by itself once that answers.", c.cfg.Waiting), err: errWaiting}
}

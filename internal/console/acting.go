package console

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"accountexport/events"
	"accountexport/internal/acts"
)

// act is something that can be asked for: POST /acts/NAME with a form, and
// POST /api/acts/NAME with the same as a form or a JSON object of texts.
type act struct {
	name string // in the path
	what string // a word of the audit
	look bool   // it only reads, so it needs no rights to act

	// prepare judges what was asked, before anything is begun, and before it is recorded.
	prepare func(c *Console, given url.Values) (*prepared, error)
}

// prepared is an act that can begin.
type prepared struct {
	title   string
	account *events.UUID // whom it concerns; nil for nobody in particular
	detail  string       // for the audit, without any value
	key     string       // of what cannot be done twice at once; default: what and account
	back    string       // the page to go back to; default: the one that it was asked for on
	mayEnd  bool         // somebody may end it before it is done, by the act rebuild-end
	do      func(ctx context.Context, j *job) error
}

// soon is how long an answer waits for an act to end, so that what is short is shown as done.
const soon = 2 * time.Second

// mostForm bounds the body of a request.
const mostForm = 64 << 10

// actions are all acts.
func actions() []act {
	return slices.Concat([]act{pauseAct(), resumeAct()}, accountActs(), parkedActs(), generationActs(), erasureActs())
}

func (c *Console) routeActs(m *mux.Router) {
	for _, a := range actions() {
		handle := func(w http.ResponseWriter, r *http.Request) {
			j, err := c.begin(w, r, a)
			if err != nil {
				c.fail(w, r, err)
				return
			}
			c.answerJob(w, r, j)
		}
		m.HandleFunc("/acts/"+a.name, handle).Methods(http.MethodPost)
		m.HandleFunc("/api/acts/"+a.name, handle).Methods(http.MethodPost)
	}
	c.hub.topics["job"] = c.liveJob
}

// begin records an act, and begins it. Nothing is recorded of what is refused here.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, a act) (*job, error) {
	if !a.look && !c.cfg.AllowActs {
		return nil, &failure{Status: http.StatusForbidden, Type: "read-only", Title: "Refused: this console only reads",
			Detail: "`projector console --allow-acts` starts one that acts."}
	}
	given, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	p, err := a.prepare(c, given)
	if err != nil {
		return nil, err
	}
	if p.key == "" {
		p.key = a.what
		if p.account != nil {
			p.key += " " + p.account.String()
		}
	}
	user := userOf(r)
	j := &job{Act: a.what, Title: p.title, User: user, about: p.account, key: p.key, asks: a.name + "?" + askedFor(given), mayEnd: p.mayEnd, back: cmp.Or(p.back, backOf(r))}
	j.changed = func() {
		if j.ID != "" {
			c.hub.tell("job:" + j.ID)
		}
	}
	begun, err := c.jobs.start(j, func(ctx context.Context, j *job) error {
		return c.within(a.name, func() error {
			recorded, err := c.recorder(user).Begin(ctx, a.what, p.account, p.detail)
			if err != nil {
				return err
			}
			err = c.within(a.name, func() error { return p.do(ctx, j) }) // which has an end in the audit, too
			recorded.End(ctx, asOutcome(err))
			c.hub.stale()
			return err
		})
	})
	if err == nil && begun != j {
		err = c.join(r.Context(), user, a.what, p, begun)
	}
	return begun, err
}

// mostAuditName is how long a name is there at most.
const mostAuditName = 200

// auditName is a user's name as the audit has it, in ASCII: what is not is escaped. One that
// is too long so is cut, with a digest of the whole at its end, so that no two names are
// recorded as one.
func auditName(user string) string {
	quoted := strconv.QuoteToASCII(user)
	name := quoted[1 : len(quoted)-1]
	if len(name) > mostAuditName {
		sum := sha256.Sum256([]byte(user))
		end := fmt.Sprintf("...%x", sum[:8])
		name = name[:mostAuditName-len(end)] + end
	}
	return name
}

// askedFor is what an act was asked to do; why it is done makes no other act of it.
func askedFor(given url.Values) string {
	asked := maps.Clone(given)
	delete(asked, "note")
	return asked.Encode()
}

// asOutcome is an error as the audit tells of it: what the console itself refuses has
// changed nothing.
func asOutcome(err error) error {
	var f *failure
	if errors.As(err, &f) && f.Status < http.StatusInternalServerError {
		return fmt.Errorf("%w: %w", acts.ErrDeclined, err)
	}
	return err
}

// recorder writes the audit in the name of whoever asks.
func (c *Console) recorder(user string) *acts.Recorder {
	return &acts.Recorder{Pool: c.cfg.Pool, Who: auditName(user), Through: acts.ThroughConsole,
		OnUnended: func(err error) { c.log.Error("the audit has a line without its end", "error", err) }}
}

// answerJob waits a moment for the act to end. A page then shows it above the screen where
// it was asked for, or on a page of its own while it runs.
func (c *Console) answerJob(w http.ResponseWriter, r *http.Request, j *job) {
	select {
	case <-j.done:
	case <-time.After(soon):
	case <-r.Context().Done():
	}
	v := j.view()
	if isAPI(r) {
		status := http.StatusAccepted
		if v.Ended != nil {
			status = http.StatusOK
		}
		w.Header().Set("Location", "/api/jobs/"+j.ID)
		writeJSON(w, status, v)
		return
	}
	to := "/jobs/" + j.ID
	if v.Ended != nil && v.Result == nil && j.back != "" && !strings.HasPrefix(j.back, "/jobs/") { // that shows its own act alone
		to = withQuery(j.back, "job", j.ID)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// readForm reads a form, or a JSON object of texts.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, mostForm)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var err error
	switch kind {
	case "application/json":
		var fields map[string]string
		dec := json.NewDecoder(r.Body)
		if err = dec.Decode(&fields); err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("more than one value")
			}
		}
		given := url.Values{}
		for name, value := range fields {
			given.Set(name, value)
		}
		if err == nil {
			return given, nil
		}
	case "application/x-www-form-urlencoded", "":
		if err = r.ParseForm(); err == nil {
			return r.PostForm, nil
		}
	default:
		return nil, badRequest("That is no form", "The Content-Type has to be application/x-www-form-urlencoded or application/json.")
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &failure{Status: http.StatusRequestEntityTooLarge, Type: "too-large", Title: "The form is too large",
			Detail: fmt.Sprintf("It has to be of at most %d bytes.", mostForm)}
	}
	return nil, badRequest("The form cannot be read", "It has to be a form, or a JSON object of texts, of at most %d bytes: %v.", mostForm, err)
}

// backOf is the console's page that an act was asked for on; empty where that is not known.
func backOf(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return ""
	}
	q := u.Query()
	q.Del("job")
	return (&url.URL{Path: u.Path, RawQuery: q.Encode()}).String()
}

func withQuery(page, name, value string) string {
	u, err := url.Parse(page)
	if err != nil {
		return "/"
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// field is a field that an act needs.
func field(given url.Values, name, right string) (string, error) {
	v := strings.TrimSpace(given.Get(name))
	if v == "" {
		return "", badRequest(fmt.Sprintf("%s is missing", name), "It has to be %s.", right)
	}
	return v, nil
}

package console

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/mux"

	"accountexport/internal/cli"
	"accountexport/internal/findings"
	"accountexport/internal/stream"
)

// routeStream adds the screens of the stream and of erasures.
func (c *Console) routeStream(m *mux.Router) {
	c.facts = &facts{read: c.containedFacts, jobs: c.jobs, tell: func() { c.hub.tell("stream") }}
	c.hub.topics["stream"] = c.liveStream
	c.screen(m, "/stream", "stream", c.streamScreen)
	c.routeErasures(m)
}

// streamView is what the stream is, and how it stands to the contract.
type streamView struct {
	At     time.Time `json:"at"`
	Failed string    `json:"failed"` // why the last look has found nothing; empty where it has

	Name       string    `json:"name"`
	Created    time.Time `json:"created"`
	ID         string    `json:"id"` // empty: none
	First      uint64    `json:"first"`
	Last       uint64    `json:"last"`
	Messages   uint64    `json:"messages"`
	Bytes      uint64    `json:"bytes"`
	Partitions int       `json:"partitions"` // 0: not known
	Consumers  int       `json:"consumers"`

	Identity  []factView      `json:"identity"`
	Bounds    []factView      `json:"bounds"`
	Run       []findingView   `json:"run"` // what keeps `projector run` from the stream; empty: nothing
	RunFailed string          `json:"run_failed"`
	Settings  []settingView   `json:"settings"`
	Wrong     int             `json:"settings_wrong"`
	Chosen    []factView      `json:"left_open"` // settings that are whoever keeps the server's choice
	Peers     []peerView      `json:"replicas"`
	Gaps      gapsView        `json:"gaps"`
	Copies    []copyView      `json:"copies"`
	NoCopies  string          `json:"copies_failed"` // why they are not known; empty where they are
	Folded    *foldedFromView `json:"folded_from"`   // null where nothing was folded
}

// factView is one thing that is known of the stream.
type factView struct {
	Name  string     `json:"name"`
	Text  string     `json:"text"`
	Time  *time.Time `json:"time,omitempty"` // in the place of the text
	Count *uint64    `json:"count,omitempty"`
	Note  string     `json:"note,omitempty"` // what it means
	Bad   bool       `json:"bad,omitempty"`
}

// Number is Count, for the page.
func (f factView) Number() uint64 { return *f.Count }

// settingView is a setting held against the contract.
type settingView struct {
	What  string `json:"setting"`
	Have  string `json:"have"`
	Want  string `json:"want"`
	Right bool   `json:"right"`
	Mend  string `json:"mend,omitempty"` // the command that mends it; empty: none of ours does
}

type peerView struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Good  bool   `json:"good"`
	Lag   uint64 `json:"lag"`
}

// foldedFromView is the stream that the live generation was folded from.
type foldedFromView struct {
	Generation int64     `json:"generation"`
	Name       string    `json:"name"`
	Created    time.Time `json:"created"`
	ID         string    `json:"id"`
	Partitions int       `json:"partitions"`
	Same       bool      `json:"same"` // it is the stream that is shown
}

func (v *streamView) liveTopic() string { return "stream" }

func (c *Console) streamScreen(r *http.Request) (any, error) {
	if _, err := c.on(); err != nil {
		return nil, err
	}
	f, err := c.facts.current(r.Context())
	if err != nil {
		return nil, err
	}
	l, err := c.hub.current(r.Context())
	if err != nil {
		return nil, err
	}
	return c.streamOf(f, l), nil
}

// sameStream tells whether an answer of [stream.Guard] leaves it at that the stream is
// the one that was folded.
func sameStream(err error) bool {
	return !errors.Is(err, stream.ErrOtherStream) && !errors.Is(err, stream.ErrRecreated)
}

// liveStream is the part of the screen that follows what happens.
func (c *Console) liveStream(string) ([]byte, error) {
	f := c.facts.peek()
	l := c.lastLook()
	if f == nil || l == nil {
		return nil, errWaiting
	}
	return c.render("live stream", c.streamOf(f, l))
}

// streamOf is the view of what was found. It asks nobody.
func (c *Console) streamOf(f *streamFacts, l *look) *streamView {
	v := &streamView{At: f.At, Identity: []factView{}, Bounds: []factView{}, Run: []findingView{}, Settings: []settingView{}, Chosen: []factView{},
		Peers: []peerView{}, Copies: []copyView{}}
	if f.Err != nil {
		v.Failed = cli.Printable(asFailure(f.Err).Error())
		return v
	}
	d := f.Stream
	v.Name, v.Created, v.ID, v.First, v.Last, v.Messages = d.Name, d.Created, d.ID, d.First, d.Last, d.Messages
	v.Bytes, v.Partitions, v.Consumers = d.Bytes, d.Partitions, d.Consumers
	v.Identity, v.Bounds, v.Chosen, v.Peers = identityOf(f), boundsOf(f), chosenOf(f), peersOf(f)
	v.Settings, v.Wrong = settingsOf(f)
	v.Gaps = gapsOf(f)
	v.Copies, v.NoCopies = copiesOf(f)
	if l.Err != nil {
		v.RunFailed = cli.Printable(asFailure(l.Err).Error())
		return v
	}
	g := l.Status.Generation
	v.Folded = &foldedFromView{Generation: g.Number, Name: g.Stream.Name, Created: g.Stream.Created, ID: g.Stream.ID, Partitions: g.Stream.Partitions,
		Same: sameStream(stream.Guard(f.Stream.StreamInfo, g.Stream, 0, 0))}
	for _, found := range findings.Of(l.Status) {
		if slices.Contains([]findings.What{findings.Refused, findings.Unreadable, findings.NotProgressing, findings.Problem, findings.NoReplica, findings.Paused},
			found.What) {
			v.Run = append(v.Run, c.findingOf(found))
		}
	}
	return v
}

package console

import (
	"fmt"
	"strings"
	"time"

	"accountexport/internal/cli"
)

// identityOf is which stream it is, and where.
func identityOf(f *streamFacts) []factView {
	d := f.Stream
	out := []factView{
		{Name: "Name", Text: d.Name},
		{Name: "Created", Time: &d.Created, Note: "A stream that was made anew has another time, and positions of its own."},
		{Name: "accountexport-id", Text: orNone(d.ID), Bad: d.ID == "", Note: "Which stream it claims to be. A backup and a mirror claim the same."},
		{Name: "Server", Text: orNone(strings.TrimSpace(d.Server + " " + d.ServerVersion)), Note: "The one that the console is connected to."},
		{Name: "JetStream domain", Text: orNone(d.Domain), Note: "Asked on " + d.API + "…"},
	}
	if d.Cluster != "" {
		out = append(out, factView{Name: "Cluster", Text: d.Cluster}, factView{Name: "Leader", Text: orNone(d.Leader), Bad: d.Leader == ""})
	}
	is := factView{Name: "A copy", Text: "no", Note: "It neither mirrors another stream nor sources from one."}
	switch {
	case d.Mirror != "":
		is = factView{Name: "A copy", Text: "a mirror of " + d.Mirror, Bad: true, Note: "Nothing can be published to a mirror, and it has no partitions."}
	case len(d.Sources) > 0:
		is = factView{Name: "A copy", Text: "sources from " + strings.Join(d.Sources, ", "), Bad: true, Note: "Its positions are not those of the other."}
	}
	return append(out, is)
}

// boundsOf is what it holds.
func boundsOf(f *streamFacts) []factView {
	d := f.Stream
	missing := d.Missing()
	out := []factView{
		{Name: "First", Count: &d.First, Note: when(d.FirstTime)},
		{Name: "Last", Count: &d.Last, Note: when(d.LastTime)},
		{Name: "Messages", Count: &d.Messages, Note: fmt.Sprintf("on %s subjects", grouped(fmt.Sprint(d.Subjects)))},
		{Name: "Deleted", Count: &missing, Note: "positions that were given out and hold no message"},
		{Name: "Size", Text: bytesOf(d.Bytes)},
		{Name: "Partitions", Text: orNone(fmt.Sprint(max(0, d.Partitions))), Note: "by its subject transform"},
	}
	if d.Refused != nil {
		out[5].Text, out[5].Bad = "not known", true
	}
	return out
}

// chosenOf are the settings that the contract leaves to whoever keeps the server.
func chosenOf(f *streamFacts) []factView {
	d := f.Stream
	replicas := factView{Name: "Replicas", Text: fmt.Sprint(d.Replicas)}
	if replicas.Note = "What is acknowledged is on the disks of most of them."; d.Replicas == 1 {
		replicas.Note = "One disk holds it: where that is lost, so is what no copy has."
	}
	consumers := factView{Name: "Consumers", Text: fmt.Sprint(d.Consumers), Note: "of as many as there are readers; no limit"}
	if d.MaxConsumers > 0 {
		consumers.Text = fmt.Sprintf("%d of %d", d.Consumers, d.MaxConsumers)
		consumers.Note = "Where there are as many as there may be, one more reader is refused."
		consumers.Bad = d.Consumers >= d.MaxConsumers
	}
	out := []factView{replicas, consumers,
		{Name: "Duplicate window", Text: d.Duplicates.String(), Note: "for how long the server itself drops what is published again"},
		{Name: "Compression", Text: d.Compression},
		{Name: "Sync to disk", Text: "the server does not say", Note: "`sync_interval: always` belongs into its `jetstream` block: without it, what was acknowledged is on disk only after two minutes."},
	}
	if d.Placement != "" {
		out = append(out, factView{Name: "Placement", Text: d.Placement})
	}
	return out
}

func peersOf(f *streamFacts) []peerView {
	out := []peerView{}
	for _, p := range f.Stream.Peers {
		v := peerView{Name: p.Name, State: "up to date", Good: true, Lag: p.Lag}
		switch {
		case p.Offline:
			v.State, v.Good = "offline", false
		case !p.Current:
			v.State, v.Good = "behind", false
		}
		out = append(out, v)
	}
	return out
}

// settingsOf holds each setting against the contract; those that are wrong come first.
func settingsOf(f *streamFacts) (out []settingView, wrong int) {
	out = []settingView{}
	for _, s := range f.Stream.Settings {
		v := settingView{What: s.What, Have: s.Have, Want: s.Want, Right: s.Right}
		if s.Right {
			out = append(out, v)
			continue
		}
		if strings.Contains(s.Want, "`projector provision`") { // the one setting that it writes on a stream that is there
			v.Mend = "projector provision"
		}
		out = append(out[:wrong], append([]settingView{v}, out[wrong:]...)...)
		wrong++
	}
	return out, wrong
}

// gapsView is which messages the stream lacks, and what explains that.
type gapsView struct {
	State       string   `json:"state"` // whole, lost, undelivered, unrecorded, unknown
	Text        string   `json:"text"`
	Deleted     uint64   `json:"deleted"`     // by the server's count
	Explained   uint64   `json:"explained"`   // how many may be missing
	Unexplained uint64   `json:"unexplained"` // how many nobody has removed
	Positions   string   `json:"positions"`   // of those, as far as the server says them
	Undelivered string   `json:"undelivered"` // counted as there, and not delivered
	Commands    []string `json:"commands"`
}

// Tone is the class of its banner.
func (g gapsView) Tone() string {
	return map[string]string{"whole": "good", "unrecorded": "", "unknown": "warn"}[g.State]
}

// gapsOf says it.
func gapsOf(f *streamFacts) gapsView {
	g := gapsView{Deleted: f.Stream.Missing(), Explained: f.Missing.Explained, Unexplained: f.Lost.N, Commands: []string{}}
	mend := []string{"projector accept", "projector rebuild"}
	switch {
	case f.noBaseline():
		g.State, g.Text = "unrecorded", "Nothing is on record yet of what this stream lacks: `projector run` notes it when it reads the stream first, and from then on nothing goes missing unnoticed."
	case f.GapsErr != nil:
		g.State, g.Text = "unknown", "What is missing is not known: "+cli.Printable(f.GapsErr.Error())
	case f.Stream.Refused != nil:
		g.State, g.Text = "unknown", "What is missing cannot be compared while the stream has no sound subject transform."
	case f.Lost.N > 0:
		g.State, g.Positions, g.Commands = "lost", f.Lost.Positions.String(), mend
		g.Text = fmt.Sprintf("%s that nobody removed: no erasure did, and they were there before. Restore the stream from a backup that holds them, or give them up: `projector accept` says first what that costs.",
			plural(f.Lost.N, "message is missing", "messages are missing"))
	case len(f.Lost.Undelivered) > 0:
		g.State, g.Undelivered, g.Commands = "undelivered", f.Lost.Undelivered.String(), mend
		g.Text = fmt.Sprintf("%s as there by the server, which cannot give them: what it has stored is damaged. Restore the stream from a backup that holds them, or give them up: `projector accept` says first what that costs.",
			plural(f.Lost.Undelivered.Count(), "message is counted", "messages are counted"))
	default:
		g.State, g.Text = "whole", fmt.Sprintf("Nothing is missing that is not explained: %s, by an erasure, before the stream was first read, or accepted as lost.",
			plural(g.Deleted, "message went", "messages went"))
		if g.Deleted == 0 {
			g.Text = "Nothing is missing: each position that was given out holds a message."
		}
	}
	return g
}

// copyView is a stream that copies from this one.
type copyView struct {
	Name     string   `json:"name"`
	How      string   `json:"how"` // mirrors, sources from
	From     []string `json:"from"`
	Messages uint64   `json:"messages"`
	First    uint64   `json:"first"`
	Last     uint64   `json:"last"`
	Lag      uint64   `json:"lag"`
	Erasure  string   `json:"erasure"` // what an erasure does with it
	Denies   string   `json:"denies"`  // the setting for which nothing can be removed from it; empty: none
}

func copiesOf(f *streamFacts) (out []copyView, failed string) {
	out = []copyView{}
	for _, s := range f.Copies {
		v := copyView{Name: s.Name, How: "sources from", From: append([]string{}, s.From...), Messages: s.Messages, First: s.First, Last: s.Last, Lag: s.Lag,
			Denies: s.Denies, Erasure: "keeps what it has of an account, unless `--purge-copies` names it; the erasure stays unfinished until then"}
		if s.Mirror {
			v.How = "mirrors"
		}
		if s.Denies != "" {
			v.Erasure = "has " + s.Denies + ", for ever: nothing can be removed from it. Remove this copy, and make it anew"
		}
		out = append(out, v)
	}
	if f.CopiesErr != nil {
		failed = cli.Printable(f.CopiesErr.Error())
	}
	return out, failed
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func when(t time.Time) string {
	if t.Unix() <= 0 {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// bytesOf is a size as people say it.
func bytesOf(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far something is: a bar on a terminal, elsewhere a line
// every five seconds.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar
	began time.Time
	first uint64 // where this run began
	seen  bool
	said  time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, began: time.Now(), said: time.Now()}
	if isTerminal(out) {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("rebuild"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200*time.Millisecond))
	}
	return p
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// at shows where it is: what this run has done, and what is left for it.
func (p *progress) at(position, end uint64) {
	if !p.seen {
		p.first, p.seen = position, true
	}
	end = max(end, position)
	if p.bar != nil {
		p.bar.ChangeMax64(int64(max(end-p.first, 1)))
		_ = p.bar.Set64(int64(position - p.first))
		return
	}
	if time.Since(p.said) < 5*time.Second {
		return
	}
	p.said = time.Now()
	rate := float64(position-p.first) / time.Since(p.began).Seconds()
	left := "unknown"
	if rate > 0 && end > position {
		left = (time.Duration(float64(end-position)/rate) * time.Second).String()
	}
	fmt.Fprintf(p.out, "%d of %d events, %.0f a second, time left %s\n", position, end, rate, left)
}

// end leaves what is shown as it is, unless all is done.
func (p *progress) end(done bool) { endBar(p.bar, p.out, done) }

// endBar ends a bar, which may be nil, and the line that it is on.
func endBar(bar *progressbar.ProgressBar, out io.Writer, done bool) {
	if bar == nil {
		return
	}
	if done {
		_ = bar.Finish()
	} else {
		_ = bar.Exit()
	}
	fmt.Fprintln(out)
}

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
	first uint64
	said  time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, began: time.Now(), said: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("rebuild"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200*time.Millisecond))
	}
	return p
}

func (p *progress) at(position, end uint64) {
	if p.first == 0 {
		p.first = position
	}
	if p.bar != nil {
		p.bar.ChangeMax64(int64(end))
		_ = p.bar.Set64(int64(position))
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

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		fmt.Fprintln(p.out)
	}
}

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"accountexport/internal/importer"
)

// importProgress shows how far an import is: a bar on a terminal, elsewhere a
// line every five seconds. How much is left is known by the input's size, where
// it has one.
type importProgress struct {
	out   io.Writer
	size  int64 // of the input as it is stored; 0: not known
	bar   *progressbar.ProgressBar
	phase importer.Phase
	began time.Time // the phase
	said  time.Time
	first int64 // bytes of the input at the phase's first line, since what is done is passed over quickly
}

func newImportProgress(out io.Writer, size int64) *importProgress {
	return &importProgress{out: out, size: size, said: time.Now()}
}

func (p *importProgress) at(s importer.Status) {
	if s.Phase != p.phase {
		p.end(true)
		p.phase, p.began, p.first = s.Phase, time.Now(), s.Read
		if isTerminal(p.out) {
			p.bar = progressbar.NewOptions64(max(p.size, -1), progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(string(s.Phase)),
				progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(p.size > 0), progressbar.OptionThrottle(200*time.Millisecond))
		}
	}
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("%s %d lines", s.Phase, s.Lines))
		_ = p.bar.Set64(min(s.Read, max(p.size, s.Read)))
		return
	}
	if time.Since(p.said) < 5*time.Second {
		return
	}
	p.said = time.Now()
	took := time.Since(p.began)
	fmt.Fprintf(p.out, "%s: %d lines, %.0f a second, %s\n", s.Phase, s.Lines, float64(s.Lines)/took.Seconds(), p.left(s.Read, took))
}

// left is what is left of the phase.
func (p *importProgress) left(read int64, took time.Duration) string {
	if p.size == 0 || read <= p.first {
		return "time left unknown"
	}
	read = min(read, p.size)
	left := time.Duration(float64(took) * float64(p.size-read) / float64(read-p.first))
	return fmt.Sprintf("%d %% of the input, time left %v", read*100/p.size, left.Round(time.Second))
}

// end leaves what is shown as it is.
func (p *importProgress) end(done bool) {
	endBar(p.bar, p.out, done)
	p.bar = nil
}

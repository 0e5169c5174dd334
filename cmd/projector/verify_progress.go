package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// verifyProgress shows how many accounts `projector verify --all` has compared: a bar
// on a terminal, elsewhere a line at the beginning, every five seconds, and at the
// end.
type verifyProgress struct {
	*progress
	compared, total uint64 // at the last call of at
}

func newVerifyProgress(out io.Writer) *verifyProgress {
	p := &verifyProgress{progress: newProgress(out)}
	if p.bar != nil {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("verify"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("accounts"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(200*time.Millisecond))
	}
	return p
}

// at is [acts.Verifier.OnProgress].
func (p *verifyProgress) at(compared, total int) {
	first := !p.seen
	p.compared, p.total = uint64(compared), uint64(total)
	if p.bar != nil {
		p.progress.at(p.compared, p.total)
		return
	}
	p.seen = true
	if first || time.Since(p.said) >= 5*time.Second {
		p.said = time.Now()
		p.line()
	}
}

// line prints one line. There is no rate before the first account is compared, and
// no time left where there is no rate.
func (p *verifyProgress) line() {
	rate, left := "", ""
	if perSecond := float64(p.compared) / time.Since(p.began).Seconds(); perSecond > 0 {
		rate = fmt.Sprintf(", %.0f a second", perSecond)
		if rest := p.total - p.compared; rest > 0 {
			left = ", time left " + (time.Duration(float64(rest)/perSecond) * time.Second).String()
		}
	}
	fmt.Fprintf(p.out, "%d of %d accounts compared%s%s\n", p.compared, p.total, rate, left)
}

// clear makes room for a line that is printed on the same terminal; the bar is drawn
// again below it.
func (p *verifyProgress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// end prints the last line, or leaves the bar as it is.
func (p *verifyProgress) end(done bool) {
	if p.bar == nil && p.seen {
		p.line()
	}
	p.progress.end(done)
}

package api

import (
	"net/http"
	"time"
)

// slowest is how fast a client has to take a large document on average, once
// its first write timeout is over, in bytes a second as sent.
const slowest = 16 << 10

// paced gives a client that takes a large document the time it needs, within
// bounds: it is cut off when it takes nothing for one timeout, and when it is
// slower on average than slowest.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	began   time.Time
	sent    int64
}

func newPaced(w http.ResponseWriter, timeout time.Duration) *paced {
	return &paced{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout, began: time.Now()}
}

// pieces are how a large document is written: a client that takes one piece
// within the timeout takes something.
const piece = 32 << 10

func (p *paced) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		some := b[:min(len(b), piece)]
		end := p.began.Add(p.timeout + time.Duration(p.sent)*time.Second/slowest)
		if still := time.Now().Add(p.timeout); still.Before(end) {
			end = still
		}
		if err := p.control.SetWriteDeadline(end); err != nil {
			return n, err
		}
		written, err := p.ResponseWriter.Write(some)
		n, p.sent = n+written, p.sent+int64(written)
		if err != nil {
			return n, err
		}
		b = b[len(some):]
	}
	return n, nil
}

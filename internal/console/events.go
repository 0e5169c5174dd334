package console

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// events sends a page the parts of it that have changed, by server-sent events, until it
// is closed or the program ends: each look, and at least every 15 seconds a comment that
// keeps proxies from closing it. A page that does not take what it is sent is let go of.
func (c *Console) events(w http.ResponseWriter, r *http.Request) {
	topic := r.URL.Query().Get("topic")
	// What cannot be rendered now is waited for, as where the console was started anew, or a server
	// is away: a browser does not try again after another answer than 200.
	if _, err := c.hub.fragment(topic); errors.Is(err, errNoTopic) {
		c.failJSON(w, r, badRequest("There is no such topic", "A page names the one that it follows."))
		return
	}
	if err := c.lookAtTopic(r, topic); err != nil { // nothing is sent, and the page asks again
		c.report(r, asFailure(err))
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("retry: 2000\n\n"))
		return
	}
	v := &viewer{topic: topic, news: make(chan []byte, 1)}
	if !c.hub.follow(v) {
		w.Header().Set("Retry-After", "30")
		c.failJSON(w, r, &failure{Status: http.StatusServiceUnavailable, Type: "too-many", Title: "Too many pages follow this console",
			Detail: fmt.Sprintf("It serves %d at once. Close some, or open this one anew later; it can be read as it is.", c.hub.most)})
		return
	}
	defer func() {
		c.hub.mu.Lock()
		delete(c.hub.viewers, v)
		c.hub.mu.Unlock()
	}()
	c.hub.wakeUp()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(c.cfg.sendWithin))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-c.jobs.ending():
			return
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
		case html := <-v.news:
			if sum := sha256.Sum256(html); sum == v.sent {
				html = nil
			} else {
				v.sent = sum
			}
			b, err := json.Marshal(string(html)) // empty: as it was, looked at anew
			if err != nil || !send("data: "+string(b)+"\n\n") {
				return
			}
		}
	}
}

package tracing

import (
	"log/slog"
	"sync"
	"time"
)

// complainEvery is the least time between two lines about spans that were not delivered.
const complainEvery = time.Minute

// complaints logs what OpenTelemetry complains of: the first of it at once, and then a
// line a minute at most, with how many there were.
type complaints struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	said    time.Time
	unsaid  int
	nowFunc func() time.Time // default time.Now
}

// Handle implements [go.opentelemetry.io/otel.ErrorHandler].
func (c *complaints) Handle(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.nowFunc != nil {
		now = c.nowFunc()
	}
	if !c.said.IsZero() && now.Sub(c.said) < complainEvery {
		c.unsaid++
		return
	}
	c.log.Warn("traces are not delivered; nothing waits for them", "error", err, "others", c.unsaid)
	c.said, c.unsaid = now, 0
}

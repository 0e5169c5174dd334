package exporttest

import (
	"bytes"
	"sync"
)

// output is the last of what a program has said. One reader waits on grown; all else
// is safe for concurrent use.
type output struct {
	grown chan struct{} // holds a value when something was said since it was last taken

	mu sync.Mutex
	b  []byte
}

func newOutput() *output { return &output{grown: make(chan struct{}, 1)} }

const keptOutput = 64 << 10 // bytes

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.b = append(o.b, p...)
	if len(o.b) > 2*keptOutput {
		o.b = append(o.b[:0], o.b[len(o.b)-keptOutput:]...)
	}
	o.mu.Unlock()
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

// lines are the whole lines that are kept.
func (o *output) lines() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	whole := bytes.Clone(o.b[:bytes.LastIndexByte(o.b, '\n')+1])
	return bytes.Split(whole, []byte("\n"))
}

// tail is the end of it, for a failure.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b[max(0, len(o.b)-4000):])
}

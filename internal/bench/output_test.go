package bench

import (
	"slices"
	"testing"
	"time"
)

// size is a number for `make bench`, or for its short form `make bench-short`, which shows what is
// broken and roughly what is slow.
func size(whole, short int) int {
	if testing.Short() {
		return short
	}
	return whole
}

func percentile(d []time.Duration, p float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

// addShare adds what n messages took in a bare loop, and exactly once.
func (r *report) addShare(n int, bare, exact time.Duration) {
	r.add("bare loop", "thousand/s", perSecond(n, bare)/1000)
	r.add("exactly once", "thousand/s", perSecond(n, exact)/1000)
	r.add("share of the bare loop", "%", 100*bare.Seconds()/exact.Seconds())
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
)

func hostileConfig() Config {
	return Config{Accounts: 40, HostileShare: 0.4, ErasureShare: 0.001, LargeShare: 0.002}
}

// fingerprint is a hash over n messages, with their headers sorted.
func fingerprint(n int, next func() Message) string {
	sum := sha256.New()
	for range n {
		m := next()
		names := make([]string, 0, len(m.Header))
		for name := range m.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(sum, "%s %d\n", m.Subject, len(m.Data))
		sum.Write(m.Data)
		for _, name := range names {
			fmt.Fprintf(sum, "%q %q\n", name, m.Header[name])
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

func TestSameSeedSameStream(t *testing.T) {
	backlog := func(seed uint64) func() Message {
		b := NewBacklog(seed, 50, 2000)
		return func() Message { m, _ := b.Next(); return m }
	}
	profiles := map[string]struct {
		from func(seed uint64) func() Message
		want string // of seed 7: the same on every machine
	}{
		"hostile": {func(seed uint64) func() Message { return New(seed, hostileConfig()).Next }, "1ab5d2708965121e"},
		"backlog": {backlog, "c9417ffac533fdec"},
		"hot": {func(seed uint64) func() Message {
			return NewHotAccount(seed, HotConfig{Sandboxes: 500, Keys: 50, UsageDays: 100}).Next
		}, "a845d60dd609ea80"},
	}
	for name, p := range profiles {
		t.Run(name, func(t *testing.T) {
			if got := fingerprint(2000, p.from(7)); got != p.want {
				t.Errorf("seed 7 gives %s, want %s: change it only where the workload was changed on purpose", got, p.want)
			}
			if fingerprint(2000, p.from(8)) == p.want {
				t.Error("another seed gives the same stream")
			}
		})
	}
}

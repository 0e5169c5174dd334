package main

import (
	"runtime/debug"
	"testing"

	"accountexport/internal/settings"
)

// TestMemorySettingsOfTheCollector: the collector keeps within MEMORY_LIMIT, and begins
// later than by Go's default, unless GOGC or a lower GOMEMLIMIT say otherwise.
func TestMemorySettingsOfTheCollector(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	})
	p := &program{}
	p.cfg.MemoryLimit = settings.Bytes(512 << 20)
	for _, test := range []struct {
		name, gogc  string
		have        int64 // GOMEMLIMIT
		wantLimit   int64
		wantPercent int
	}{
		{"by default", "", 1 << 40, (512<<20)/10*9 - 24<<20, 200},
		{"GOGC", "50", 1 << 40, (512<<20)/10*9 - 24<<20, 100}, // as it was: Go itself reads GOGC, at start
		{"a lower GOMEMLIMIT", "", 64 << 20, 64 << 20, 200},
	} {
		t.Setenv("GOGC", test.gogc)
		debug.SetMemoryLimit(test.have)
		debug.SetGCPercent(100)
		p.limitMemory()
		if gotLimit, gotPercent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100); gotLimit != test.wantLimit || gotPercent != test.wantPercent {
			t.Errorf("%s: limit %d, want %d; %d %%, want %d", test.name, gotLimit, test.wantLimit, gotPercent, test.wantPercent)
		}
	}
}

package settings

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestMemoryLimitFollowsTheContainer: a limit that is not given is the smaller of its default and
// 80 % of what the container may use, and what depends on it follows; one that is given stands.
// Where the container leaves less than the program needs, the error says how much it takes.
func TestMemoryLimitFollowsTheContainer(t *testing.T) {
	t.Parallel()
	const mib = Bytes(1 << 20)
	for _, test := range []struct {
		name           string
		container      Bytes
		unread         error
		given          string
		projector, api Bytes  // the limits; 0: the error
		say, warn      string // of the projector
	}{
		{"no container", 0, nil, "", 512 * mib, 256 * mib, `from="the default"`, ""},
		{"a large one", 8192 * mib, nil, "", 512 * mib, 256 * mib, `from="the default" container_bytes=8589934592`, ""},
		{"a small one", 300 * mib, nil, "", 240 * mib, 240 * mib, `bytes=251658240 from="80 % of what the container may use" container_bytes=314572800`, ""},
		{"one with just enough", 160 * mib, nil, "", 128 * mib, 128 * mib, `bytes=134217728 from="80 %`, ""},
		{"a given value", 300 * mib, nil, "200MiB", 200 * mib, 200 * mib, `bytes=209715200 from=MEMORY_LIMIT container_bytes=314572800`, ""},
		{"a given value above it", 300 * mib, nil, "1GiB", 1024 * mib, 1024 * mib, `from=MEMORY_LIMIT`, "the memory limit is more than the container may use"},
		{"too small for the projector", 100 * mib, nil, "", 0, 80 * mib, "MEMORY_LIMIT is not set, and 80 % of what this container may use, 104857600 bytes, is 83886080, less than the 134217728 that the program needs: let the container have at least 167772160 bytes, or set MEMORY_LIMIT", ""},
		{"too small, and a value given", 100 * mib, nil, "128MiB", 128 * mib, 128 * mib, `from=MEMORY_LIMIT`, "more than the container may use"},
		{"unreadable", 0, errors.New("memory.max: permission denied"), "", 512 * mib, 256 * mib, `from="the default"`, "could not be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			container := func() (Bytes, error) { return test.container, test.unread }
			environ := []string{db, "SUPABASE_URL=https://p.supabase.co", "MEMORY_LIMIT=" + test.given, "API_MEMORY_LIMIT=" + test.given}
			s, problems := loadProjector(flagSet(t, ForProjector), environ, container)
			var log bytes.Buffer
			s.Memory.Report(slog.New(slog.NewTextHandler(&log, nil)), s.MemoryLimit)
			said := log.String()
			if test.projector == 0 {
				said = fmt.Sprint(problems)
			}
			if (test.projector == 0) != (len(problems) > 0) || test.projector > 0 && s.MemoryLimit != test.projector {
				t.Errorf("the projector has %d bytes, %v, want %d", s.MemoryLimit, problems, test.projector)
			}
			if !strings.Contains(said, test.say) {
				t.Errorf("the projector says %s, want %s", said, test.say)
			}
			if warned := strings.Contains(said, "level=WARN"); warned != (test.warn != "") || !strings.Contains(said, test.warn) {
				t.Errorf("the projector says %s, want a warning %q", said, test.warn)
			}
			if test.projector > 0 && s.StateCacheBytes != test.projector/4 {
				t.Errorf("STATE_CACHE_BYTES does not follow from it: %d", s.StateCacheBytes)
			}
			api, problems := loadAPI(flagSet(t, ForAPI), environ, container)
			if len(problems) > 0 || api.MemoryLimit != test.api || api.Memory.Setting != "API_MEMORY_LIMIT" {
				t.Errorf("the API has %d bytes by %s, %v, want %d", api.MemoryLimit, api.Memory.Setting, problems, test.api)
			}
		})
	}
}

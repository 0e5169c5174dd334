package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// memoryGroup makes a control group whose processes may use so many bytes, and returns the file by
// which a process joins it. Where none can be made, the test is skipped, and says why.
func memoryGroup(t *testing.T, bytes int) (join string) {
	t.Helper()
	name := fmt.Sprintf("accountexport-test-%d", time.Now().UnixNano())
	var why []error
	for _, version := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, // version 1
		{"/sys/fs/cgroup", "memory.max"},                   // version 2
	} {
		group := filepath.Join(version.root, name)
		if err := os.Mkdir(group, 0o755); err != nil {
			why = append(why, err)
			continue
		}
		t.Cleanup(func() {
			eventually(t, "an empty control group", time.Minute, func(context.Context) error { return os.Remove(group) })
		})
		limit := filepath.Join(group, version.limit)
		if _, err := os.Stat(limit); err != nil { // a plain folder, or a group without this controller
			why = append(why, err)
			continue
		}
		if err := os.WriteFile(limit, fmt.Append(nil, bytes), 0o600); err != nil {
			why = append(why, err)
			continue
		}
		return filepath.Join(group, "cgroup.procs")
	}
	t.Skipf("no control group with a limit of memory can be made here: %v", errors.Join(why...))
	return ""
}

// launchIn starts a program in a control group.
func launchIn(t *testing.T, join, program string, settings map[string]string, args ...string) *process {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	return launchFile(t, shell, settings, append([]string{"-c", `echo $$ > "$0" && exec "$@"`, join, binary(t, program)}, args...)...)
}

// TestMemoryLimitFollowsTheControlGroup: in a real one, unless told otherwise, each program keeps to 80 % of what its
// control group may use, says so, warns of a given limit that is more, and refuses one that is too small for
// it.
func TestMemoryLimitFollowsTheControlGroup(t *testing.T) {
	t.Parallel()
	nowhere := map[string]string{"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "OUTBOX_DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
		"NATS_URL": "nats://127.0.0.1:1", "SUPABASE_URL": "http://127.0.0.1:1", "ADMIN_ADDR": "127.0.0.1:0", "HTTP_ADDR": "127.0.0.1:0", "LOG_FORMAT": "text"}
	with := func(name, value string) map[string]string {
		out := map[string]string{name: value}
		for k, v := range nowhere {
			out[k] = v
		}
		return out
	}
	const mib = 1 << 20
	for name, test := range map[string]struct {
		limit    int
		program  string
		args     []string
		settings map[string]string
		says     []string
		exit     int // 0: it runs on
	}{
		"run":            {300 * mib, "projector", []string{"run"}, nowhere, []string{`msg="memory limit" bytes=251658240 from="80 % of what the container may use" container_bytes=314572800`}, 0},
		"relay":          {300 * mib, "projector", []string{"relay"}, nowhere, []string{`msg="memory limit" bytes=251658240 from="80 % of`}, 0},
		"api":            {200 * mib, "api", nil, nowhere, []string{`msg="memory limit" bytes=167772160 from="80 % of`}, 0},
		"a large group":  {2048 * mib, "api", nil, nowhere, []string{`msg="memory limit" bytes=268435456 from="the default" container_bytes=2147483648`}, 0},
		"a given limit":  {300 * mib, "api", nil, with("API_MEMORY_LIMIT", "1GiB"), []string{`bytes=1073741824 from=API_MEMORY_LIMIT`, `level=WARN msg="the memory limit is more than the container may use`}, 0},
		"too small":      {100 * mib, "projector", []string{"run"}, nowhere, []string{"MEMORY_LIMIT is not set, and 80 % of what this container may use, 104857600 bytes", "at least 167772160 bytes"}, 2},
		"the least room": {160 * mib, "projector", []string{"run"}, nowhere, []string{`msg="memory limit" bytes=134217728 from="80 % of`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launchIn(t, memoryGroup(t, test.limit), test.program, test.settings, test.args...)
			for _, says := range test.says {
				eventually(t, says, time.Minute, func(context.Context) error {
					if said := p.out.tail(10_000); !strings.Contains(said, says) {
						return errors.New(said)
					}
					return nil
				})
			}
			if test.exit != 0 {
				if status := p.wait(); status != test.exit {
					t.Errorf("it ends with %d, want %d", status, test.exit)
				}
			}
			p.kill() // before the control group is removed
		})
	}
}

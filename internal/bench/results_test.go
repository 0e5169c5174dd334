package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is a figure as it stands in the file.
type result struct {
	Benchmark string  `json:"benchmark"`
	Title     string  `json:"title"`
	What      string  `json:"what"`
	Unit      string  `json:"unit"`
	Median    float64 `json:"median"`
	Least     float64 `json:"least"`
	Greatest  float64 `json:"greatest"`
	Turns     int     `json:"turns"`
}

// run is the file: all that one call of make bench has measured, what it was measured
// on, and the versions of what was measured.
type run struct {
	Began    time.Time         `json:"began"`
	Seconds  float64           `json:"seconds"`
	Short    bool              `json:"short"` // as make bench-short does: less of everything
	Commit   string            `json:"commit"`
	Machine  map[string]any    `json:"machine"`
	Versions map[string]string `json:"versions"`
	Results  []result          `json:"results"`

	mu sync.Mutex // guards what is added while it runs
}

// taken is this process's.
var taken = &run{Began: time.Now(), Versions: map[string]string{}}

func (t *run) add(is result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Results = append(t.Results, is)
}

// version records the version that a server says it has.
func (t *run) version(of, is string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Versions[of] = is
}

// writeFile writes it to the file that BENCH_JSON names, if it names one.
func (t *run) writeFile() error {
	path := os.Getenv("BENCH_JSON")
	if path == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Seconds, t.Short = time.Since(t.Began).Seconds(), testing.Short()
	t.Machine = machine()
	t.Versions["Go"] = runtime.Version()
	for _, file := range []string{"../../go.mod", "../../bench/peers/go.mod"} {
		if err := modules(file, t.Versions); err != nil {
			return err
		}
	}
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err == nil { // a copy without its history has none
		t.Commit = strings.TrimSpace(string(out))
	}
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// measuredModules are those whose versions the figures depend on.
var measuredModules = regexp.MustCompile(`(?m)^\s*(?:require )?(\S+/(?:nats-server/v2|nats\.go|pgx/v5|go-json-experiment/json|klauspost/compress|gorilla/mux|watermill|watermill-nats/v2)) (v\S+)`)

// modules reads the versions of modules. A test binary does not know its own.
func modules(file string, into map[string]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, m := range measuredModules.FindAllStringSubmatch(string(text), -1) {
		into[m[1]] = m[2]
	}
	return nil
}

// machine says what was measured on.
func machine() map[string]any {
	text := func(path string) string {
		b, _ := os.ReadFile(path) // where there is none, as on other systems, the field is empty
		return strings.TrimSpace(string(b))
	}
	field := func(path, name string) string {
		for line := range strings.Lines(text(path)) {
			if before, after, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(before) == name {
				return strings.TrimSpace(after)
			}
		}
		return ""
	}
	return map[string]any{"os": runtime.GOOS, "kernel": text("/proc/sys/kernel/osrelease"), "arch": runtime.GOARCH, "cores": runtime.NumCPU(),
		"cpu": field("/proc/cpuinfo", "model name"), "memory": field("/proc/meminfo", "MemTotal"), "load at the end": text("/proc/loadavg")}
}

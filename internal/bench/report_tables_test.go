package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/testrun"
)

// TestMediansAndSpread: a figure is the median of its turns, beside the least and the
// greatest, whatever the order in which they came.
func TestMediansAndSpread(t *testing.T) {
	r := &report{title: "title"}
	for _, v := range []float64{30, 10, 20} {
		r.add("odd", "ms", v)
		r.add("even", "%", v)
	}
	r.add("even", "%", 40)
	r.add("once", "", 7)
	var got []result
	for _, s := range r.series {
		got = append(got, s.result("BenchmarkX", r.title))
	}
	want := []result{
		{"BenchmarkX", "title", "odd", "ms", 20, 10, 30, 3},
		{"BenchmarkX", "title", "even", "%", 25, 10, 40, 4},
		{"BenchmarkX", "title", "once", "", 7, 7, 7, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
}

// TestResultsSayWhatWasMeasured: the file has the results, the machine, and the versions
// of Go, of both modules' libraries, and of what servers say of themselves.
func TestResultsSayWhatWasMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	t.Setenv("BENCH_JSON", path)
	mine := &run{Began: taken.Began, Versions: map[string]string{}}
	mine.version("PostgreSQL", "15.1")
	mine.add(result{Title: "title", What: "odd", Median: 20})
	if err := mine.writeFile(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Machine  struct{ Kernel, Arch string }
		Versions map[string]string
		Results  []result
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{"Go", "PostgreSQL", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "github.com/jackc/pgx/v5",
		"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-nats/v2"} {
		if got.Versions[of] == "" {
			t.Errorf("the version of %s is not there: %v", of, got.Versions)
		}
	}
	if got.Machine.Arch == "" || len(got.Results) != 1 || got.Results[0].Median != 20 {
		t.Errorf("the file has %s", text)
	}
}

// benchmarkName is a benchmark's declaration.
var benchmarkName = regexp.MustCompile(`(?m)^func (Benchmark[A-Z]\w*)\(\w+ \*testing\.B\)`)

// TestEveryBenchmarkIsRun: each benchmark of this package is one of those that make bench
// or make bench-long runs, and each of another package is in one of those that make
// bench-small runs. Whoever writes one finds out here that it has to be listed.
func TestEveryBenchmarkIsRun(t *testing.T) {
	tool := testrun.Tool(t, "make", "apt-get install make")
	calls := regexp.MustCompile(`-bench '?([^' ]+)'? `)
	var patterns []*regexp.Regexp
	for _, target := range []string{"bench", "bench-long"} {
		out, err := exec.Command(tool, "-C", "../..", "--dry-run", target).CombinedOutput()
		if err != nil {
			t.Fatalf("make %s: %v: %s", target, err, out)
		}
		m := calls.FindStringSubmatch(string(out))
		if m == nil {
			t.Fatalf("make %s calls no benchmark: %s", target, out)
		}
		patterns = append(patterns, regexp.MustCompile(m[1]))
	}
	small, err := exec.Command(tool, "-C", "../..", "--dry-run", "bench-small").CombinedOutput()
	if err != nil {
		t.Fatalf("make bench-small: %v: %s", err, small)
	}
	found := 0
	err = filepath.WalkDir("../..", func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		folder, _ := filepath.Rel("../..", filepath.Dir(file))
		for _, m := range benchmarkName.FindAllStringSubmatch(string(text), -1) {
			found++
			runs := strings.Contains(string(small), " ./"+folder+" ") || strings.Contains(string(small), " ./"+folder+"\n")
			if folder == "internal/bench" {
				runs = false
				for _, p := range patterns {
					runs = runs || p.MatchString(m[1])
				}
			}
			if !runs {
				t.Errorf("%s of %s is run by no target: add it to BENCHES, BENCHES_LONG or BENCHES_SMALL of the Makefile", m[1], folder)
			}
		}
		return nil
	})
	if err != nil || found < 20 {
		t.Errorf("%d benchmarks were found: %v", found, err)
	}
}

package kubernetes

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/documents"
)

// TestKubernetesFollowsTheManual: the commands of doc/operating.md name a job, a namespace and a folder that are there; what is
// applied by a label is that job and nothing else; and an upgrade deletes the job, makes the new one and waits for it, before it
// applies the rest. There is no cluster here: TestKustomizeBuildsTheExample builds what is applied.
func TestKubernetesFollowsTheManual(t *testing.T) {
	t.Parallel()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, d := range all {
		for _, b := range d.Blocks() {
			if d.Path == "doc/operating.md" && strings.Contains(b.Text, "kubectl") {
				blocks = append(blocks, b.Text)
			}
		}
	}
	if len(blocks) != 2 {
		t.Fatalf("the manual has %d blocks with kubectl", len(blocks))
	}
	const build = "kustomize build deploy/kubernetes/example | kubectl apply"
	waits := regexp.MustCompile(`^kubectl -n (\S+) wait --for=condition=complete --timeout=\d+m job/(\S+)$`)
	deletes := regexp.MustCompile(`^kubectl -n (\S+) delete job (\S+) --ignore-not-found$`)
	alone := regexp.MustCompile("^" + regexp.QuoteMeta(build) + ` -l (\S+)=(\S+) -f -$`)
	var steps []string
	for line := range strings.Lines(blocks[0] + "\n" + blocks[1]) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line == build+" -f -":
			steps = append(steps, "all")
		case alone.MatchString(line):
			m := alone.FindStringSubmatch(line)
			var selected []string
			for _, one := range manifests(t) {
				if one.Metadata.Labels[m[1]] == m[2] {
					selected = append(selected, one.Kind+" "+one.Metadata.Name)
				}
			}
			if !slices.Equal(selected, []string{"Job accountexport-provision"}) {
				t.Errorf("%s: the label selects %v", line, selected)
			}
			steps = append(steps, "job")
		default:
			step, m := "wait", waits.FindStringSubmatch(line)
			if m == nil {
				step, m = "delete", deletes.FindStringSubmatch(line)
			}
			if m == nil {
				t.Fatalf("what does %s do?", line)
			}
			if is := slices.ContainsFunc(manifests(t), func(one manifest) bool { return one.Kind == "Job" && one.Metadata.Name == m[2] }); !is ||
				!strings.Contains(read(t, "example/kustomization.yaml"), "\nnamespace: "+m[1]+"\n") {
				t.Errorf("%s: there is no such job, or namespace", line)
			}
			steps = append(steps, step)
		}
	}
	if want := []string{"all", "wait", "delete", "job", "wait", "all"}; !slices.Equal(steps, want) {
		t.Errorf("the manual's steps are %v, want %v", steps, want)
	}
}

package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
)

// TestKustomizeBuildsTheExample: what `kustomize build` makes of the example is valid, has what the example gives, and is
// every object of the base and the components.
func TestKustomizeBuildsTheExample(t *testing.T) {
	t.Parallel()
	if !testrun.Long() {
		t.Skip("compiles kustomize; make test-long runs it")
	}
	folder, err := filepath.Abs("example")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "tool", "kustomize", "build", folder)
	cmd.Dir, cmd.Env = "../../tools/kustomize", append(os.Environ(), "GOFLAGS=")
	var said strings.Builder
	cmd.Stderr = &said
	built, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &said)
	}
	file := filepath.Join(t.TempDir(), "built.yaml")
	if err := os.WriteFile(file, built, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, v := range validate(t, file) {
		if v.Status != "statusValid" {
			t.Errorf("%+v", v)
		}
	}
	all := parse(t, file, string(built))
	if len(all) != len(manifests(t)) {
		t.Errorf("%d objects, want %d", len(all), len(manifests(t)))
	}
	for _, m := range all {
		if m.Metadata.Namespace != "accountexport" || m.Metadata.Labels["app.kubernetes.io/part-of"] != "accountexport" {
			t.Errorf("%s is in namespace %q, with the labels %v", m, m.Metadata.Namespace, m.Metadata.Labels)
		}
		for _, c := range m.Spec.Template.Spec.Containers {
			if !strings.HasPrefix(c.Image, "registry.example/accountexport/") || strings.HasSuffix(c.Image, ":latest") {
				t.Errorf("%s: the image is %s", m, c.Image)
			}
		}
		if m.Kind == "Deployment" && m.Metadata.Name == "accountexport-api" && m.Spec.Replicas != 0 {
			t.Errorf("%s has %d replicas, which the autoscaler is to decide", m, m.Spec.Replicas)
		}
		if m.Metadata.Name == "accountexport-projector" && m.Kind == "ConfigMap" && m.Data["NATS_URL"] != "tls://nats.example:4222" {
			t.Errorf("%s has %v", m, m.Data)
		}
	}
}

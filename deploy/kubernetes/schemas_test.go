package kubernetes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"accountexport/internal/local/testrun"
)

// tools is the module of the programs that validate and make what is here.
const tools = "../../tools/kubernetes"

// inTools runs the go command there.
func inTools(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = tools, append(os.Environ(), "GOFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if strings.Contains(stderr.String(), "missing go.sum entry") || strings.Contains(stderr.String(), "dial tcp") {
		testrun.Missing(t, "the modules of tools/kubernetes", "go mod download, in tools/kubernetes, with a network")
	}
	if err != nil && len(out) == 0 {
		t.Logf("go %v: %s", args, &stderr)
	}
	return out, err
}

// verdict is what kubeconform says of one object.
type verdict struct{ Filename, Kind, Name, Status, Msg string }

// validate holds files against the schemas that are committed, and nothing else. What has no schema is an error.
func validate(t *testing.T, files ...string) (all []verdict) {
	t.Helper()
	schemas, err := filepath.Abs("schemas")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"tool", "kubeconform", "-strict", "-verbose", "-output", "json", "-schema-location", schemas + "/{{.ResourceKind}}{{.KindSuffix}}.json"}
	for _, file := range files {
		absolute, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, absolute)
	}
	out, _ := inTools(t, args...) // which fails where anything is invalid
	var result struct{ Resources []verdict }
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return result.Resources
}

// TestObjectsAreValid by Kubernetes' own description of them, and by prometheus-operator's.
func TestObjectsAreValid(t *testing.T) {
	t.Parallel()
	verdicts := validate(t, files(t)...)
	if want := len(manifests(t)); len(verdicts) != want {
		t.Errorf("%d objects were looked at, and there are %d", len(verdicts), want)
	}
	for _, v := range verdicts {
		if v.Status != "statusValid" {
			t.Errorf("%+v", v)
		}
	}
}

// TestWhatIsWrongIsFound: the schemas know no field that Kubernetes does not know, and are there for each kind.
func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	folder, where := t.TempDir(), map[string]string{}
	for name, change := range map[string]struct{ file, from, to, says string }{
		"unknown-field":     {"base/api.yaml", "readOnlyRootFilesystem:", "readOnlyRootFileSystem:", "readOnlyRootFileSystem"},
		"unknown-below":     {"base/projector.yaml", "httpGet: {path: /livez, port: admin}", "httpGet: {path: /livez, ports: admin}", "ports"},
		"wrong-type":        {"base/projector.yaml", "replicas: 2", "replicas: two", "/spec/replicas"},
		"missing-field":     {"base/provision.yaml", "- name: provision\n          image", "- image", "name"},
		"job-policy":        {"base/provision.yaml", "operator: In", "operators: In", "operators"},
		"service":           {"base/api.yaml", "publishNotReadyAddresses: true", "publishNotReadyAddress: true", "publishNotReadyAddress"},
		"budget":            {"base/api.yaml", "maxUnavailable: 1\n  #", "maxUnavailables: 1\n  #", "maxUnavailables"},
		"policy":            {"base/network.yaml", "port: 4222", "ports: 4222", "ports"},
		"config":            {"base/settings.yaml", "STREAM: CONTROL_PLANE", "STREAM: 7", "STREAM"},
		"account":           {"base/api.yaml", "automountServiceAccountToken: false", "automountServiceAccountTokens: false", "automountServiceAccountTokens"},
		"autoscaler":        {"components/autoscaling/api.yaml", "averageUtilization: 150", "averageUtilization: high", "averageUtilization"},
		"monitor":           {"components/monitoring/servicemonitor.yaml", "jobLabel:", "joblabel:", "joblabel"},
		"rule":              {"components/monitoring/prometheusrule.yaml", "groups:", "group:", "group"},
		"kind-of-a-version": {"base/api.yaml", "apiVersion: apps/v1", "apiVersion: apps/v1beta1", ""},
	} {
		text := read(t, change.file)
		if !strings.Contains(text, change.from) {
			t.Errorf("%s has no %q", change.file, change.from)
			continue
		}
		file := filepath.Join(folder, name+".yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(text, change.from, change.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		where[name] = change.says
	}
	found := map[string]string{}
	changed, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range validate(t, changed...) {
		if v.Status != "statusValid" {
			found[strings.TrimSuffix(filepath.Base(v.Filename), ".yaml")] += v.Status + ": " + v.Msg
		}
	}
	for name, says := range where {
		if said := found[name]; said == "" || !strings.Contains(said, says) {
			t.Errorf("%s: found is %q, want something of %q", name, said, says)
		}
	}
}

// TestSchemasAreUpToDate makes them again from what Kubernetes and prometheus-operator publish as Go modules.
func TestSchemasAreUpToDate(t *testing.T) {
	t.Parallel()
	if !testrun.Long() {
		t.Skip("downloads the sources of Kubernetes; make test-long runs it")
	}
	again := t.TempDir()
	if out, err := inTools(t, "run", "./schemas", again); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	compareFolders(t, "schemas", again)
}

// compareFolders compares the files of two folders.
func compareFolders(t *testing.T, committed, again string) {
	t.Helper()
	for _, pair := range [][2]string{{committed, again}, {again, committed}} {
		names, err := filepath.Glob(filepath.Join(pair[0], "*.json"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, file := range names {
			b, err := os.ReadFile(filepath.Join(pair[1], filepath.Base(file)))
			if err != nil || string(b) != read(t, file) {
				t.Errorf("%s is not what `make kubernetes-schemas` makes: %v", filepath.Base(file), err)
			}
		}
	}
}

package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// manifest is an object of Kubernetes, with what the tests look at. Fields of other kinds are empty.
type manifest struct {
	file string

	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	Data                         map[string]string
	Spec                         spec
}

type spec struct {
	Replicas int
	Template struct {
		Metadata struct{ Labels map[string]string }
		Spec     podSpec
	}
	Selector    yaml.Node     // of a service a map, otherwise a labelSelector
	PodSelector labelSelector `yaml:"podSelector"`
	PolicyTypes []string      `yaml:"policyTypes"`
	Egress      []struct{ Ports []portOf }
	Ingress     []struct {
		From  []any
		Ports []portOf
	}
	Ports []struct {
		Name       string
		Port       int
		TargetPort string `yaml:"targetPort"`
	}
	PublishNotReadyAddresses bool                        `yaml:"publishNotReadyAddresses"`
	ScaleTargetRef           struct{ Kind, Name string } `yaml:"scaleTargetRef"`
}

type portOf struct {
	Protocol string
	Port     int
}

type labelSelector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type podSpec struct {
	ServiceAccountName           string `yaml:"serviceAccountName"`
	AutomountServiceAccountToken *bool  `yaml:"automountServiceAccountToken"`
	EnableServiceLinks           *bool  `yaml:"enableServiceLinks"`
	TerminationGracePeriod       int    `yaml:"terminationGracePeriodSeconds"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	TopologySpreadConstraints []struct {
		LabelSelector labelSelector `yaml:"labelSelector"`
	} `yaml:"topologySpreadConstraints"`
	Containers []container
	Volumes    []struct {
		Name     string
		EmptyDir struct {
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
		Secret struct {
			SecretName string `yaml:"secretName"`
		}
	}
}

type container struct {
	Name, Image string
	Args        []string
	EnvFrom     []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
		SecretRef    struct{ Name string } `yaml:"secretRef"`
	} `yaml:"envFrom"`
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	Resources      struct{ Limits struct{ Memory string } }
	VolumeMounts   []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	} `yaml:"securityContext"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// folders are those that kustomize reads.
func folders(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("components/*")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"base", "example"}, all...)
}

// files are the manifests, without the kustomizations.
func files(t *testing.T) (all []string) {
	t.Helper()
	for _, folder := range folders(t) {
		found, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, slices.DeleteFunc(found, func(f string) bool { return filepath.Base(f) == "kustomization.yaml" })...)
	}
	if len(all) < 8 {
		t.Fatalf("only %v", all)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parse reads the objects of a text.
func parse(t *testing.T, file, text string) (all []manifest) {
	t.Helper()
	documents := yaml.NewDecoder(strings.NewReader(text))
	for {
		m := manifest{file: file}
		err := documents.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, m)
	}
}

// manifests are all objects but those of an overlay.
func manifests(t *testing.T) (all []manifest) {
	t.Helper()
	for _, file := range files(t) {
		all = append(all, parse(t, file, read(t, file))...)
	}
	return all
}

// pods are the objects that make pods.
func pods(t *testing.T) []manifest {
	t.Helper()
	all := slices.DeleteFunc(manifests(t), func(m manifest) bool { return len(m.Spec.Template.Spec.Containers) == 0 })
	if len(all) != 4 {
		t.Fatalf("%d objects make pods, want those of projector, api, relay and provision", len(all))
	}
	return all
}

// name is what the labels call an object's pods.
func (m manifest) name() string { return m.Spec.Template.Metadata.Labels["app.kubernetes.io/name"] }

func (m manifest) String() string { return m.file + ": " + m.Kind + " " + m.Metadata.Name }

// kustomization is what the tests look at of one.
type kustomization struct {
	Resources, Components []string
	Images                []struct{ Name string }
	Patches               []struct{ Patch string }
}

func readKustomization(t *testing.T, folder string) (k kustomization) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewBufferString(read(t, filepath.Join(folder, "kustomization.yaml"))))
	if err := d.Decode(&k); err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return k
}

package kubernetes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLabelsMatch: what selects pods by labels selects those of one object, or of all of them; what names an object
// names one that is there.
func TestLabelsMatch(t *testing.T) {
	t.Parallel()
	selected := func(labels map[string]string) (names []string) {
		for _, m := range pods(t) {
			matches := len(labels) > 0
			for k, v := range labels {
				matches = matches && m.Spec.Template.Metadata.Labels[k] == v
			}
			if matches {
				names = append(names, m.Metadata.Name)
			}
		}
		return names
	}
	accounts, deployments := map[string]bool{}, map[string]bool{}
	for _, m := range manifests(t) {
		accounts[m.Metadata.Name] = accounts[m.Metadata.Name] || m.Kind == "ServiceAccount"
		deployments[m.Metadata.Name] = deployments[m.Metadata.Name] || m.Kind == "Deployment"
	}
	for _, m := range manifests(t) {
		labels, want := map[string]string{}, m.Metadata.Name
		switch m.Kind {
		case "Service":
			want = strings.TrimSuffix(want, "-admin")
			if err := m.Spec.Selector.Decode(&labels); err != nil {
				t.Fatal(err)
			}
		case "Deployment", "PodDisruptionBudget":
			var s labelSelector
			if err := m.Spec.Selector.Decode(&s); err != nil {
				t.Fatal(err)
			}
			labels = s.MatchLabels
		case "NetworkPolicy":
			labels = m.Spec.PodSelector.MatchLabels
		case "HorizontalPodAutoscaler":
			if to := m.Spec.ScaleTargetRef; to.Kind != "Deployment" || !deployments[to.Name] {
				t.Errorf("%s scales %+v, which is not there", m, to)
			}
			continue
		default:
			continue
		}
		got := selected(labels)
		if m.Kind == "NetworkPolicy" && want == "accountexport" {
			if len(got) != len(pods(t)) {
				t.Errorf("%s selects %v, and it has to be all pods", m, got)
			}
		} else if !slices.Equal(got, []string{want}) {
			t.Errorf("%s selects the pods of %v, want those of %s", m, got, want)
		}
	}
	for _, m := range pods(t) {
		pod := m.Spec.Template.Spec
		if !accounts[pod.ServiceAccountName] {
			t.Errorf("%s: the ServiceAccount %s is not there", m, pod.ServiceAccountName)
		}
		for _, c := range pod.TopologySpreadConstraints {
			if !slices.Equal(selected(c.LabelSelector.MatchLabels), []string{m.Metadata.Name}) {
				t.Errorf("%s is spread among %v", m, c.LabelSelector)
			}
		}
		if m.Kind == "Deployment" && (len(pod.TopologySpreadConstraints) == 0 || m.Spec.Replicas < 2) {
			t.Errorf("%s has %d replicas, spread by %v", m, m.Spec.Replicas, pod.TopologySpreadConstraints)
		}
	}
}

// TestServicesNameTheirPorts: a service's port is one of its pods', and metrics are found whether a pod is ready or not.
func TestServicesNameTheirPorts(t *testing.T) {
	t.Parallel()
	component, admin := map[string]string{}, 0
	ports := map[string]map[string]int{}
	for _, m := range pods(t) {
		component[m.name()], ports[m.name()] = m.Spec.Template.Metadata.Labels["app.kubernetes.io/component"], map[string]int{}
		for _, p := range m.Spec.Template.Spec.Containers[0].Ports {
			ports[m.name()][p.Name] = p.ContainerPort
		}
	}
	for _, m := range manifests(t) {
		if m.Kind != "Service" {
			continue
		}
		name := m.Metadata.Labels["app.kubernetes.io/name"]
		for _, p := range m.Spec.Ports {
			if at := ports[name][p.TargetPort]; at == 0 || p.Name == "admin" && p.Port != at {
				t.Errorf("%s leads to %s, and its pods have %v", m, p.TargetPort, ports[name])
			}
			if p.Name != "admin" {
				continue
			}
			admin++
			if job := m.Metadata.Labels["app.kubernetes.io/component"]; !m.Spec.PublishNotReadyAddresses || job != component[name] {
				t.Errorf("%s: the job of its metrics is %q, and that a pod is not ready hides it: %v", m, job, !m.Spec.PublishNotReadyAddresses)
			}
		}
	}
	if admin != 3 {
		t.Errorf("%d services lead to metrics, want those of projector, api and relay", admin)
	}
}

// TestPodsHaveFewRights: no root, no writing but in volumes, no capability, no way up, and no token of the cluster.
func TestPodsHaveFewRights(t *testing.T) {
	t.Parallel()
	is := func(b *bool) bool { return b == nil || *b }
	for _, m := range pods(t) {
		pod := m.Spec.Template.Spec
		c := pod.Containers[0]
		if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" || is(c.SecurityContext.AllowPrivilegeEscalation) ||
			!c.SecurityContext.ReadOnlyRootFilesystem || !slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("%s may too much: %+v %+v", m, pod.SecurityContext, c.SecurityContext)
		}
		if is(pod.AutomountServiceAccountToken) || is(pod.EnableServiceLinks) {
			t.Errorf("%s has a token of the cluster, or variables of other services", m)
		}
	}
	for _, m := range manifests(t) {
		if m.Kind == "ServiceAccount" && is(m.AutomountServiceAccountToken) {
			t.Errorf("%s hands out a token", m)
		}
	}
}

// TestPoliciesSayWhoSpeaks: the API never reaches NATS, metrics are for the monitoring alone, and what no policy allows the first one refuses.
func TestPoliciesSayWhoSpeaks(t *testing.T) {
	t.Parallel()
	const dns, nats, postgres, https = 53, 4222, 5432, 443
	want := map[string][]int{"accountexport": nil, "accountexport-api": {dns, https, postgres}, "accountexport-projector": {dns, nats, postgres},
		"accountexport-relay": {dns, nats, postgres}, "accountexport-provision": {dns, nats, postgres}}
	found := 0
	for _, m := range manifests(t) {
		if m.Kind != "NetworkPolicy" {
			continue
		}
		found++
		if !slices.Equal(m.Spec.PolicyTypes, []string{"Ingress", "Egress"}) {
			t.Errorf("%s is for %v alone", m, m.Spec.PolicyTypes)
		}
		var out []int
		for _, rule := range m.Spec.Egress {
			for _, p := range rule.Ports {
				out = append(out, p.Port)
			}
			if len(rule.Ports) == 0 {
				t.Errorf("%s lets out on every port", m)
			}
		}
		slices.Sort(out)
		if out = slices.Compact(out); !slices.Equal(out, slices.Sorted(slices.Values(want[m.Metadata.Name]))) {
			t.Errorf("%s lets out to %v, want %v", m, out, want[m.Metadata.Name])
		}
		for _, rule := range m.Spec.Ingress {
			if open := len(rule.From) == 0; len(rule.Ports) != 1 || open != (rule.Ports[0].Port == 8080) {
				t.Errorf("%s lets in %+v", m, rule)
			}
		}
		if m.Metadata.Name == "accountexport" && len(m.Spec.Ingress) > 0 {
			t.Errorf("%s lets in %v", m, m.Spec.Ingress)
		}
	}
	if found != len(want) {
		t.Errorf("%d policies, want %d", found, len(want))
	}
}

// TestImagesAreBuilt: each image is what deploy/Dockerfile makes of a program that is there, as the user that it names, and is
// started by a command of that program.
func TestImagesAreBuilt(t *testing.T) {
	t.Parallel()
	recipe := read(t, "../Dockerfile")
	user := regexp.MustCompile(`(?m)^USER (\d+):`).FindStringSubmatch(recipe)
	if user == nil || !strings.Contains(recipe, `ENTRYPOINT ["/program"]`) || !strings.Contains(recipe, "./cmd/${PROGRAM}") {
		t.Fatal("deploy/Dockerfile is another than the manifests are made for")
	}
	overlaid := map[string]bool{}
	for _, image := range readKustomization(t, "example").Images {
		overlaid[image.Name] = true
	}
	for _, m := range pods(t) {
		c := m.Spec.Template.Spec.Containers[0]
		if _, err := os.Stat(filepath.Join("../../cmd", programOf(c), "main.go")); err != nil || !strings.HasPrefix(c.Image, "accountexport/") {
			t.Errorf("%s: its image is %s: %v", m, c.Image, err)
		}
		if !overlaid["accountexport/"+programOf(c)] {
			t.Errorf("the example gives %s no version", c.Image)
		}
		if got := strconv.Itoa(m.Spec.Template.Spec.SecurityContext.RunAsUser); got != user[1] {
			t.Errorf("%s runs as %s, and the image is made for %s", m, got, user[1])
		}
		want := map[string][]string{"accountexport-projector": {"run"}, "accountexport-relay": {"relay"}, "accountexport-provision": {"provision"}}[m.Metadata.Name]
		if !slices.Equal(c.Args, want) {
			t.Errorf("%s runs %q, want %q", m, c.Args, want)
		}
	}
}

// TestKustomizationsListEveryFile, and no other; and the example has every component.
func TestKustomizationsListEveryFile(t *testing.T) {
	t.Parallel()
	for _, folder := range folders(t) {
		k := readKustomization(t, folder)
		var there []string
		for _, file := range files(t) {
			if filepath.Dir(file) == folder {
				there = append(there, filepath.Base(file))
			}
		}
		listed := slices.DeleteFunc(slices.Clone(k.Resources), func(r string) bool { return strings.HasPrefix(r, "..") })
		if slices.Sort(listed); !slices.Equal(listed, there) {
			t.Errorf("%s lists %v, and has %v", folder, listed, there)
		}
		for _, other := range append(k.Components, k.Resources...) {
			if _, err := os.Stat(filepath.Join(folder, other)); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
	}
	if got, all := readKustomization(t, "example"), folders(t); len(got.Components) != len(all)-2 {
		t.Errorf("the example has the components %v of %v", got.Components, all)
	}
}

// TestRulesAreThoseOfPrometheus: the PrometheusRule is made from deploy/prometheus/rules, and holds every group.
func TestRulesAreThoseOfPrometheus(t *testing.T) {
	t.Parallel()
	rules, err := filepath.Glob("../prometheus/rules/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"run", "./rules"}
	for _, file := range rules {
		absolute, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, absolute)
	}
	made, err := inTools(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != read(t, "components/monitoring/prometheusrule.yaml") {
		t.Error("components/monitoring/prometheusrule.yaml is not what `make kubernetes-rules` makes of deploy/prometheus/rules")
	}
	sample, err := inTools(t, "run", "./rules", "rules/testdata/sample.yml", "rules/testdata/other.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"    - name: sample\n", "        - alert: Sample\n", "          expr: up == 0 # a comment stays\n", "    - name: other\n"} {
		if !strings.Contains(string(sample), text) {
			t.Errorf("of the samples is made, without %q:\n%s", text, sample)
		}
	}
	file := filepath.Join(t.TempDir(), "rule.yaml")
	if err := os.WriteFile(file, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	if v := validate(t, file); len(v) != 1 || v[0].Status != "statusValid" {
		t.Errorf("what is made is not valid: %+v", v)
	}
}

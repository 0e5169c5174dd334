package kubernetes

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"accountexport/internal/settings"
)

// secrets are what the Secrets that have to be made hold.
var secrets = map[string]string{
	"accountexport-provision": "DATABASE_URL=postgres://owner@db:5432/export",
	"accountexport-projector": "DATABASE_URL=postgres://projector@db:5432/export",
	"accountexport-api":       "DATABASE_URL=postgres://api@db:5432/export",
	"accountexport-relay":     "OUTBOX_DATABASE_URL=postgres://relay@cp:5432/cp",
}

// configMaps are the settings of the base and its components, and then with what the example merges into them.
func configMaps(t *testing.T) (plain, merged map[string]map[string]string) {
	t.Helper()
	plain, merged = map[string]map[string]string{}, map[string]map[string]string{}
	for _, m := range manifests(t) {
		if m.Kind != "ConfigMap" {
			continue
		}
		plain[m.Metadata.Name], merged[m.Metadata.Name] = m.Data, map[string]string{}
		for k, v := range m.Data {
			merged[m.Metadata.Name][k] = v
		}
	}
	for _, p := range readKustomization(t, "example").Patches {
		for _, m := range parse(t, "example", p.Patch) {
			into := merged[m.Metadata.Name]
			if into == nil {
				t.Fatalf("the example changes %s, which is not there", m.Metadata.Name)
			}
			for k, v := range m.Data {
				into[k] = v
			}
		}
	}
	return plain, merged
}

// load reads settings as the program of an object's pods would.
func load(t *testing.T, m manifest, environ map[string]string) (projector settings.Projector, api settings.API) {
	t.Helper()
	c := m.Spec.Template.Spec.Containers[0]
	list := []string{secrets[c.EnvFrom[1].SecretRef.Name]}
	for k, v := range environ {
		if k == "NATS_CREDS" || k == "NATS_CA" { // files of the Secret accountexport-nats, which are not here
			if len(c.VolumeMounts) != 1 || filepath.Dir(v) != c.VolumeMounts[0].MountPath {
				t.Errorf("%s: %s is %s, and mounted are %+v", m, k, v, c.VolumeMounts)
			}
			continue
		}
		if k == "API_SPOOL_DIR" {
			v = t.TempDir()
		}
		list = append(list, k+"="+v)
	}
	program := programOf(c)
	flags := pflag.NewFlagSet(program, pflag.ContinueOnError)
	var err error
	switch {
	case program == "api":
		settings.AddFlags(flags, settings.ForAPI)
		api, err = settings.LoadAPI(flags, list)
	case c.Args[0] == "relay":
		settings.AddFlags(flags, settings.ForProjector)
		projector, err = settings.LoadRelay(flags, list)
	default:
		settings.AddFlags(flags, settings.ForProjector)
		projector, err = settings.LoadProjector(flags, list)
	}
	if err != nil {
		t.Errorf("%s: %v", m, err)
	}
	return projector, api
}

// programOf is the program of a container's image.
func programOf(c container) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(c.Image, "accountexport/"), ":")
	return name
}

// TestSettingsAreRight: every setting that a pod has is one of its program, none is secret, and with the Secrets that have to be
// made and what the example gives, the program accepts them all.
func TestSettingsAreRight(t *testing.T) {
	t.Parallel()
	_, merged := configMaps(t)
	for _, m := range pods(t) {
		c := m.Spec.Template.Spec.Containers[0]
		if len(c.EnvFrom) != 2 || secrets[c.EnvFrom[1].SecretRef.Name] == "" || merged[c.EnvFrom[0].ConfigMapRef.Name] == nil {
			t.Errorf("%s: its settings come from %+v", m, c.EnvFrom)
			continue
		}
		environ := merged[c.EnvFrom[0].ConfigMapRef.Name]
		for name, value := range environ {
			i := slices.IndexFunc(settings.Docs(), func(d settings.Doc) bool {
				return d.Name == name && slices.Contains(d.UsedBy, settings.Program(programOf(c)))
			})
			if i < 0 {
				t.Errorf("%s sets %s, which is no setting of %s", m, name, programOf(c))
			} else if settings.Docs()[i].Secret && regexp.MustCompile(`//[^/]*@`).MatchString(value) {
				t.Errorf("%s sets %s with a password or a user in it", m, name)
			}
		}
		load(t, m, environ)
	}
	for _, m := range manifests(t) {
		if m.Kind == "Secret" {
			t.Errorf("%s: secrets are no part of this", m)
		}
	}
	example := read(t, "example/kustomization.yaml")
	for name, holds := range secrets {
		variable, _, _ := strings.Cut(holds, "=")
		if !strings.Contains(example, "create secret generic "+name+" --from-literal="+variable+"=") {
			t.Errorf("the example does not say how the Secret %s is made", name)
		}
	}
}

// size reads a quantity of bytes.
func size(t *testing.T, text string) int64 {
	t.Helper()
	for unit, bytes := range map[string]int64{"Mi": 1 << 20, "Gi": 1 << 30} {
		if number, is := strings.CutSuffix(text, unit); is {
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n * bytes
		}
	}
	t.Fatalf("%q is no size in Mi or Gi", text)
	return 0
}

// TestRoomIsInStepWithTheSettings: 80 % of each limit of memory, which is what the program then keeps to, is no more than the program's
// default and no less than it needs; the spool has room for API_SPOOL_LIMIT; ending takes no longer than a pod is given.
func TestRoomIsInStepWithTheSettings(t *testing.T) {
	t.Parallel()
	plain, _ := configMaps(t)
	for _, m := range pods(t) {
		pod := m.Spec.Template.Spec
		c := pod.Containers[0]
		projector, api := load(t, m, withIssuer(plain[c.EnvFrom[0].ConfigMapRef.Name], programOf(c)))
		standard, least, ends := int64(512<<20), int64(128<<20), projector.ShutdownTimeout
		if programOf(c) == "api" {
			standard, least, ends = 256<<20, 64<<20, api.ShutdownTimeout+api.DrainDelay
		}
		share := size(t, c.Resources.Limits.Memory) / 5 * 4
		if share < least || share > standard {
			t.Errorf("%s: 80 %% of %s is %d, and the program takes from %d to %d", m, c.Resources.Limits.Memory, share, least, standard)
		}
		if grace := time.Duration(pod.TerminationGracePeriod) * time.Second; m.Kind == "Deployment" && grace < ends+5*time.Second {
			t.Errorf("%s: a pod is given %v to end, and takes up to %v", m, grace, ends)
		}
		if programOf(c) != "api" {
			continue
		}
		if len(pod.Volumes) != 1 || size(t, pod.Volumes[0].EmptyDir.SizeLimit) < int64(api.SpoolLimit) {
			t.Errorf("%s: the spool's volume is %+v, and API_SPOOL_LIMIT %d", m, pod.Volumes, api.SpoolLimit)
		}
		if at := plain["accountexport-api"]["API_SPOOL_DIR"]; len(c.VolumeMounts) != 1 || c.VolumeMounts[0].MountPath != at {
			t.Errorf("%s: the spool is in %s, and mounted are %+v", m, at, c.VolumeMounts)
		}
	}
}

// withIssuer adds what the base lacks.
func withIssuer(environ map[string]string, program string) map[string]string {
	if program != "api" {
		return environ
	}
	out := map[string]string{"SUPABASE_URL": "https://project.supabase.co"}
	for k, v := range environ {
		out[k] = v
	}
	return out
}

// TestProbesAskWhatIsServed, on the port of ADMIN_ADDR; that of liveness depends on no server.
func TestProbesAskWhatIsServed(t *testing.T) {
	t.Parallel()
	plain, _ := configMaps(t)
	for _, m := range pods(t) {
		c := m.Spec.Template.Spec.Containers[0]
		if m.Kind == "Job" {
			continue // it ends by itself
		}
		for kind, p := range map[string]probe{"/livez": c.LivenessProbe, "/livez ": c.StartupProbe, "/readyz": c.ReadinessProbe} {
			if p.HTTPGet.Path != strings.TrimSpace(kind) || p.HTTPGet.Port != "admin" {
				t.Errorf("%s: a probe asks %+v, want %s", m, p.HTTPGet, kind)
			}
		}
		environ := plain[c.EnvFrom[0].ConfigMapRef.Name]
		listens := map[string]string{"admin": environ["ADMIN_ADDR"]}
		if programOf(c) == "api" {
			listens["http"] = environ["HTTP_ADDR"]
		}
		got := map[string]string{}
		for _, p := range c.Ports {
			got[p.Name] = ":" + strconv.Itoa(p.ContainerPort)
		}
		for name, addr := range listens {
			if got[name] != addr {
				t.Errorf("%s: port %s is %s, and the program listens on %s", m, name, got[name], addr)
			}
		}
		if len(got) != len(listens) {
			t.Errorf("%s: the ports are %v", m, got)
		}
	}
}

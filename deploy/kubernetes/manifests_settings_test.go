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

// filesAt is where each pod has the files of a Secret.
const filesAt = "/etc/accountexport/files"

// The Secrets that the example says to make: settings by name, and the files of the others.
var (
	secretSetting = regexp.MustCompile(`create secret generic (\S+) --from-literal=(\S+)='([^']*)'`)
	secretFiles   = regexp.MustCompile(`create secret generic (\S+)((?: --from-file=\S+)+)`)
)

// secrets are what those with settings hold, without the authority's file, which is not here.
func secrets(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range secretSetting.FindAllStringSubmatch(read(t, "example/kustomization.yaml"), -1) {
		all[m[1]] = m[2] + "=" + strings.NewReplacer("…", "password", "&sslrootcert="+filesAt+"/db-ca.pem", "").Replace(m[3])
	}
	return all
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
	list := []string{secrets(t)[c.EnvFrom[1].SecretRef.Name]}
	for k, v := range environ {
		if k == "NATS_CREDS" || k == "NATS_CA" { // files that are not here: see TestEachPodHasItsOwnCredentials
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
		if len(c.EnvFrom) != 2 || secrets(t)[c.EnvFrom[1].SecretRef.Name] == "" || merged[c.EnvFrom[0].ConfigMapRef.Name] == nil {
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
}

// TestEachPodHasItsOwnCredentials: no two share a Secret, and the example says how each is made, with the files that its settings name.
func TestEachPodHasItsOwnCredentials(t *testing.T) {
	t.Parallel()
	_, merged := configMaps(t)
	example := read(t, "example/kustomization.yaml")
	made, used := map[string]string{}, map[string]string{}
	for _, m := range secretFiles.FindAllStringSubmatch(example, -1) {
		made[m[1]] = m[2] + " "
	}
	for _, m := range pods(t) {
		pod := m.Spec.Template.Spec
		c := pod.Containers[0]
		volume := ""
		for _, mount := range c.VolumeMounts {
			if mount.MountPath == filesAt {
				volume = mount.Name
			}
		}
		var of string
		for _, v := range pod.Volumes {
			if v.Name == volume {
				of = v.Secret.SecretName
			}
		}
		for _, name := range []string{c.EnvFrom[1].SecretRef.Name, of} {
			if other := used[name]; other != "" || name == "" {
				t.Errorf("%s has the Secret %q, and so has %s", m, name, other)
			}
			used[name] = m.String()
		}
		named := regexp.MustCompile(filesAt+`/[a-z.-]+`).FindAllString(example[strings.Index(example, "generic "+c.EnvFrom[1].SecretRef.Name+" "):][:300], 1)
		for _, setting := range []string{"NATS_CREDS", "NATS_CA"} {
			if file := merged[c.EnvFrom[0].ConfigMapRef.Name][setting]; file != "" {
				named = append(named, file)
			}
		}
		if len(named) == 0 {
			t.Errorf("%s: its settings name no file", m)
		}
		for _, file := range named {
			name := filepath.Base(file)
			if filepath.Dir(file) != filesAt || !strings.Contains(made[of], "="+name+" ") && !strings.Contains(made[of], "="+name+"=") {
				t.Errorf("%s: its settings name %s, and the Secret %s is made with%s", m, file, of, made[of])
			}
		}
	}
}

// TestTheExampleIsProtected: as the example has it, every connection is one that nobody on the way can read along, and no program warns.
func TestTheExampleIsProtected(t *testing.T) {
	t.Parallel()
	_, merged := configMaps(t)
	for _, m := range pods(t) {
		c := m.Spec.Template.Spec.Containers[0]
		projector, api := load(t, m, merged[c.EnvFrom[0].ConfigMapRef.Name])
		for _, u := range slices.Concat(projector.Unprotected(), projector.UnprotectedRelay(), api.Unprotected()) {
			t.Errorf("%s: %+v", m, u)
		}
	}
}

// TestPodsHaveATemporaryFolder where their program needs one: a fold of an account that does not fit in memory is in it, and the root
// file system is read-only.
func TestPodsHaveATemporaryFolder(t *testing.T) {
	t.Parallel()
	for _, m := range pods(t) {
		pod := m.Spec.Template.Spec
		if !slices.Equal(pod.Containers[0].Args, []string{"run"}) {
			continue
		}
		volume := ""
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.MountPath == "/tmp" {
				volume = mount.Name
			}
		}
		for _, v := range pod.Volumes {
			if v.Name == volume && size(t, v.EmptyDir.SizeLimit) > 0 {
				return
			}
		}
	}
	t.Error("the projector cannot write to /tmp")
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
		if pod.Volumes[0].Name != "spool" || size(t, pod.Volumes[0].EmptyDir.SizeLimit) < int64(api.SpoolLimit) {
			t.Errorf("%s: the spool's volume is %+v, and API_SPOOL_LIMIT %d", m, pod.Volumes, api.SpoolLimit)
		}
		if at := plain["accountexport-api"]["API_SPOOL_DIR"]; c.VolumeMounts[0].Name != "spool" || c.VolumeMounts[0].MountPath != at {
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

package settings

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"accountexport/internal/local/natsserver"
)

// TestSettingsForNATSAreHeldAgainstEachOther, and against the files that they name.
// Each error says what would be right, and shows no secret.
func TestSettingsForNATSAreHeldAgainstEachOther(t *testing.T) {
	cert, other := natsserver.CertificatesForTest(t), natsserver.CertificatesForTest(t)
	creds, _ := natsserver.CredsForTest(t)
	seed, _ := natsserver.NKeyForTest(t)
	user := []string{"NATS_USER=u", "NATS_PASSWORD=hunter2"}
	for _, test := range []struct {
		name    string
		environ []string
		say     string
	}{
		{"a user and its password", user, ""},
		{"credentials", []string{"NATS_CREDS=" + creds}, ""},
		{"an nkey", []string{"NATS_NKEY=" + seed}, ""},
		{"a token", []string{"NATS_TOKEN=hunter2"}, ""},
		{"a certificate", []string{"NATS_CERT=" + cert.ClientCert, "NATS_KEY=" + cert.ClientKey, "NATS_CA=" + cert.CA}, ""},
		{"a domain", []string{"NATS_JS_DOMAIN=hub"}, ""},
		{"a prefix", []string{"NATS_JS_PREFIX=JS.hub.API."}, ""},

		{"a user alone", user[:1], "NATS_USER is set, and NATS_PASSWORD is not"},
		{"a password alone", user[1:], "NATS_PASSWORD is set, and NATS_USER is not"},
		{"two ways", append(user, "NATS_CREDS="+creds), "NATS_CREDS and NATS_USER are set: each says who the projector is to NATS, and only one may"},
		{"a user in the URL, too", append(user, "NATS_URL=nats://v:hunter2@a"), "NATS_USER and a user in NATS_URL are set"},
		{"all ways", append(user, "NATS_CREDS="+creds, "NATS_NKEY="+seed, "NATS_TOKEN=hunter2"), "NATS_CREDS and NATS_NKEY and NATS_USER and NATS_TOKEN are set"},
		{"a line break", []string{"NATS_TOKEN=hunter2\n"}, "NATS_TOKEN is (hidden): it has to be text without line breaks"},
		{"a certificate without a key", []string{"NATS_CERT=" + cert.ClientCert}, "NATS_CERT is set, and NATS_KEY is not"},
		{"a key without a certificate", []string{"NATS_KEY=" + cert.ClientKey}, "NATS_KEY is set, and NATS_CERT is not"},
		{"another's key", []string{"NATS_CERT=" + cert.ClientCert, "NATS_KEY=" + other.ClientKey}, "NATS_CERT and NATS_KEY cannot be used together: tls: private key does not match"},
		{"the two swapped", []string{"NATS_CERT=" + cert.ClientKey, "NATS_KEY=" + cert.ClientCert}, "NATS_CERT and NATS_KEY cannot be used together"},
		{"a key for an authority", []string{"NATS_CA=" + cert.ClientKey}, "and it holds no certificate: it has to be the path of a readable file with PEM certificates"},
		{"a seed for credentials", []string{"NATS_CREDS=" + seed}, "and it holds no user's JWT"},
		{"a certificate for a seed", []string{"NATS_NKEY=" + cert.CA}, "and it holds no user's seed, which begins with SU"},
		{"domain and prefix", []string{"NATS_JS_DOMAIN=hub", "NATS_JS_PREFIX=JS.hub.API"}, "NATS_JS_DOMAIN and NATS_JS_PREFIX are both set"},
		{"a prefix with a wildcard", []string{"NATS_JS_PREFIX=$JS.API.>"}, `NATS_JS_PREFIX is "$JS.API.>"`},
		{"a domain with a dot", []string{"NATS_JS_DOMAIN=a.b"}, `NATS_JS_DOMAIN is "a.b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := LoadProjector(flagSet(t, ForProjector), append([]string{db}, test.environ...))
			got := fmt.Sprint(err)
			if test.say == "" && err != nil || !strings.Contains(got, test.say) || strings.Contains(got, "hunter2") {
				t.Errorf("got %s, want %q in it", got, test.say)
			}
		})
	}
}

// TestContext: a context of the `nats` program supplies what no setting says.
func TestContext(t *testing.T) {
	cert := natsserver.CertificatesForTest(t)
	creds, _ := natsserver.CredsForTest(t)
	home := t.TempDir()
	save := func(name string, fields map[string]any) string {
		t.Helper()
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(home, ".config", "nats", "context", name+".json")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.WriteFile(filepath.Join(home, "user.creds"), read(t, creds), 0o600); err != nil {
		t.Fatal(err)
	}
	path := save("whole", map[string]any{"description": "", "url": "tls://hub:4222", "user": "u", "password": "hunter2", "ca": cert.CA, "cert": cert.ClientCert,
		"key": "$KEYS/" + filepath.Base(cert.ClientKey), "jetstream_domain": "hub", "inbox_prefix": "_INBOX_u", "tls_first": true, "color_scheme": "yellow"})
	save("creds", map[string]any{"creds": "~/user.creds", "jetstream_api_prefix": "JS.hub.API."})
	save("token", map[string]any{"url": "nats://a", "token": "hunter2"})
	load := func(environ ...string) (Projector, error) {
		return LoadProjector(flagSet(t, ForProjector), append([]string{db, "HOME=" + home, "KEYS=" + filepath.Dir(cert.ClientKey)}, environ...))
	}
	whole := Projector{NATSURL: "tls://hub:4222", NATSUser: "u", NATSPassword: "hunter2", NATSCA: File(cert.CA), NATSCert: File(cert.ClientCert),
		NATSKey: File(cert.ClientKey), NATSJSDomain: "hub", InboxPrefix: "_INBOX_u", TLSFirst: true}
	with := func(change func(*Projector)) Projector {
		changed := whole
		change(&changed)
		return changed
	}
	for _, test := range []struct {
		name    string
		environ []string
		want    Projector
	}{
		{"by name", []string{"NATS_CONTEXT=whole"}, whole},
		{"by path", []string{"NATS_CONTEXT=" + path, "HOME="}, whole},
		{"below XDG_CONFIG_HOME", []string{"NATS_CONTEXT=whole", "HOME=/nowhere", "XDG_CONFIG_HOME=" + home + "/.config"}, whole},
		{"settings first", []string{"NATS_CONTEXT=whole", "NATS_URL=nats://other", "NATS_TOKEN=t", "NATS_JS_PREFIX=JS.API"}, with(func(p *Projector) {
			p.NATSURL, p.NATSUser, p.NATSPassword, p.NATSToken, p.NATSJSDomain, p.NATSJSPrefix = "nats://other", "", "", "t", "", "JS.API"
		})},
		{"a user in the URL first", []string{"NATS_CONTEXT=whole", "NATS_URL=nats://v:w@other"}, with(func(p *Projector) {
			p.NATSURL, p.NATSUser, p.NATSPassword = "nats://v:w@other", "", ""
		})},
		{"credentials at home", []string{"NATS_CONTEXT=creds"}, Projector{NATSURL: "nats://127.0.0.1:4222", NATSCreds: File(home + "/user.creds"), NATSJSPrefix: "JS.hub.API"}},
		{"a token", []string{"NATS_CONTEXT=token"}, Projector{NATSURL: "nats://a", NATSToken: "hunter2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := load(test.environ...)
			got := Projector{NATSURL: s.NATSURL, NATSUser: s.NATSUser, NATSPassword: s.NATSPassword, NATSToken: s.NATSToken, NATSCreds: s.NATSCreds, NATSNKey: s.NATSNKey,
				NATSCA: s.NATSCA, NATSCert: s.NATSCert, NATSKey: s.NATSKey, NATSJSDomain: s.NATSJSDomain, NATSJSPrefix: s.NATSJSPrefix, InboxPrefix: s.InboxPrefix, TLSFirst: s.TLSFirst}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v: got %+v, want %+v", err, got, test.want)
			}
		})
	}
	for _, test := range []struct {
		fields map[string]any
		say    string
	}{
		{map[string]any{"url": "http://u:hunter2@a"}, "its url cannot be used"},
		{map[string]any{"user": "u", "password": "hunter2", "token": "hunter2"}, "its user, creds, nkey and token stand beside each other"},
		{map[string]any{"user": "u", "password": "op://vault/hunter2"}, "its password is to be fetched from elsewhere"},
		{map[string]any{"creds": "nsc://hunter2"}, "its creds is to be fetched from elsewhere"},
		{map[string]any{"creds": "/no/such/file"}, "its creds cannot be used: it cannot be opened"},
		{map[string]any{"cert": cert.ClientCert}, "its cert and key go together"},
		{map[string]any{"ca": cert.ClientKey}, "its ca cannot be used: it holds no certificate"},
		{map[string]any{"jetstream_domain": "a", "jetstream_api_prefix": "b"}, "its jetstream_domain stands beside jetstream_api_prefix"},
		{map[string]any{"socks_proxy": "socks5://u:hunter2@p"}, "it has socks_proxy, which the projector does not follow"},
		{map[string]any{"url": 1}, "it holds no JSON of a context"},
	} {
		save("wrong", test.fields)
		if _, err := load("NATS_CONTEXT=wrong"); err == nil || !strings.Contains(err.Error(), test.say) || !strings.Contains(err.Error(), `NATS_CONTEXT is "wrong"`) ||
			!strings.Contains(err.Error(), "it has to be the name of a context") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v, want %q in it", test.fields, err, test.say)
		}
	}
	for environ, say := range map[string]string{"NATS_CONTEXT=none": "it cannot be read: no such file", "NATS_CONTEXT=" + home: "it cannot be read"} {
		if _, err := load(environ); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", environ, err)
		}
	}
	if _, err := load("NATS_CONTEXT=whole", "HOME="); err == nil || !strings.Contains(err.Error(), "neither XDG_CONFIG_HOME nor HOME") {
		t.Errorf("without a home: %v", err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

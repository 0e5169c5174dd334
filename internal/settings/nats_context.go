package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// natsContext holds what the projector follows of a context of the `nats` program,
// and what it refuses.
type natsContext struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	Token       string `json:"token"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	JSDomain    string `json:"jetstream_domain"`
	JSPrefix    string `json:"jetstream_api_prefix"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`

	NSC      string `json:"nsc"`
	UserJWT  string `json:"user_jwt"`
	UserSeed string `json:"user_seed"`
	Socks    string `json:"socks_proxy"`
	WinStore string `json:"windows_cert_store"`
}

// contextFile returns the file of a context. A name that is a path is that file.
func contextFile(name string, environ map[string]string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".json") {
		return name, nil
	}
	folder := environ["XDG_CONFIG_HOME"]
	if folder == "" {
		if environ["HOME"] == "" {
			return "", errors.New("neither XDG_CONFIG_HOME nor HOME says where contexts are")
		}
		folder = filepath.Join(environ["HOME"], ".config")
	}
	return filepath.Join(folder, "nats", "context", name+".json"), nil
}

// useContext takes from the context what no setting says. The way to authenticate,
// the client certificate, and the JetStream domain or prefix are each taken as a
// whole.
func (s *Projector) useContext(values, environ map[string]string) (problems []error) {
	refuse := func(err error) []error { return []error{problem(ForProjector, "NATS_CONTEXT", values, err)} }
	file, err := contextFile(values["NATS_CONTEXT"], environ)
	if err != nil {
		return refuse(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return refuse(fmt.Errorf("it cannot be read: %w", err))
	}
	var c natsContext
	if err := json.Unmarshal(b, &c); err != nil {
		return refuse(errors.New("it holds no JSON of a context"))
	}
	for _, f := range []struct{ name, value string }{{"nsc", c.NSC}, {"user_jwt", c.UserJWT}, {"user_seed", c.UserSeed},
		{"socks_proxy", c.Socks}, {"windows_cert_store", c.WinStore}} {
		if f.value != "" {
			problems = append(problems, refuse(fmt.Errorf("it has %s, which the projector does not follow", f.name))...)
		}
	}
	take := func(name string, err error) {
		if err != nil {
			if errors.Is(err, errInvalid) {
				err = errors.New("cannot be used")
			}
			problems = append(problems, refuse(fmt.Errorf("its %s %w", name, err))...)
		}
	}
	if values["NATS_URL"] == "" && c.URL != "" {
		url, err := parseNATSURL(c.URL)
		take("url", err)
		s.NATSURL = url
	}
	if len(identitySettings(values)) == 0 && values["NATS_PASSWORD"] == "" {
		s.takeIdentity(c, environ, take)
	}
	if values["NATS_CA"] == "" && c.CA != "" {
		s.NATSCA, err = contextPath(c.CA, environ, checkCA)
		take("ca", err)
	}
	if values["NATS_CERT"] == "" && values["NATS_KEY"] == "" && (c.Cert != "" || c.Key != "") {
		s.takeCertificate(c, environ, take)
	}
	if values["NATS_JS_DOMAIN"] == "" && values["NATS_JS_PREFIX"] == "" {
		if c.JSDomain != "" && c.JSPrefix != "" {
			take("jetstream_domain", errors.New("stands beside jetstream_api_prefix: only one may"))
		}
		if c.JSDomain != "" {
			s.NATSJSDomain, err = parseJSDomain(c.JSDomain)
			take("jetstream_domain", err)
		}
		if c.JSPrefix != "" {
			s.NATSJSPrefix, err = parseJSPrefix(c.JSPrefix)
			take("jetstream_api_prefix", err)
		}
	}
	if c.InboxPrefix != "" {
		var prefix JSPrefix
		prefix, err = parseJSPrefix(c.InboxPrefix)
		take("inbox_prefix", err)
		s.InboxPrefix = string(prefix)
	}
	s.TLSFirst = c.TLSFirst
	return problems
}

// takeIdentity takes the way to authenticate, of which a context has one.
func (s *Projector) takeIdentity(c natsContext, environ map[string]string, take func(string, error)) {
	ways := 0
	for _, way := range []string{c.User, c.Creds, c.NKey, c.Token} {
		if way != "" {
			ways++
		}
	}
	if ways > 1 {
		take("user, creds, nkey and token", errors.New("stand beside each other: only one may"))
		return
	}
	var err error
	if c.User != "" {
		s.NATSUser, err = parseLine(c.User)
		take("user", err)
		s.NATSPassword, err = literalPassword(c.Password)
		take("password", err)
	}
	if c.Token != "" {
		s.NATSToken, err = literalPassword(c.Token)
		take("token", err)
	}
	if c.Creds != "" {
		s.NATSCreds, err = contextPath(c.Creds, environ, checkCreds)
		take("creds", err)
	}
	if c.NKey != "" {
		s.NATSNKey, err = contextPath(c.NKey, environ, checkSeed)
		take("nkey", err)
	}
}

// takeCertificate takes the client certificate and its key, which a context has both
// or neither of.
func (s *Projector) takeCertificate(c natsContext, environ map[string]string, take func(string, error)) {
	if c.Cert == "" || c.Key == "" {
		take("cert and key", errors.New("go together, and one is missing"))
		return
	}
	var certErr, keyErr error
	s.NATSCert, certErr = contextPath(c.Cert, environ, nil)
	take("cert", certErr)
	s.NATSKey, keyErr = contextPath(c.Key, environ, nil)
	take("key", keyErr)
	if certErr == nil && keyErr == nil {
		if err := checkPair(s.NATSCert, s.NATSKey); err != nil {
			take("cert and key", fmt.Errorf("cannot be used together: %w", err))
		}
	}
}

// errFetched refuses a value that the `nats` program would fetch from somewhere.
var errFetched = errors.New("is to be fetched from elsewhere, which the projector does not do: it has to be in the context, or a file")

func isFetched(value string) bool {
	scheme, _, ok := strings.Cut(value, "://")
	return ok && scheme != "file" || strings.HasPrefix(value, "data:")
}

func literalPassword(value string) (Password, error) {
	if isFetched(value) || strings.HasPrefix(value, "file://") {
		return "", errFetched
	}
	return parsePassword(value)
}

// contextPath returns a file that a context names. look checks its contents.
func contextPath(value string, environ map[string]string, check func(File) error) (File, error) {
	if isFetched(value) {
		return "", errFetched
	}
	path := os.Expand(strings.TrimPrefix(value, "file://"), func(name string) string { return environ[name] })
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(environ["HOME"], rest)
	}
	file, err := parseFile(path)
	if err == nil && check != nil {
		err = check(file)
	}
	if err != nil {
		return "", fmt.Errorf("cannot be used: %w", err)
	}
	return file, nil
}

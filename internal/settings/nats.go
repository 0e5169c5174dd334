package settings

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// Kinds of values of the settings for NATS.
type (
	Line     string // text without control characters
	Password string // such a text that is never printed
	JSDomain string // of JetStream: one token of a subject
	JSPrefix string // of JetStream's API: tokens of a subject
)

func parseLine(v string) (Line, error) {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errInvalid
	}
	return Line(v), nil
}

func parsePassword(v string) (Password, error) {
	line, err := parseLine(v)
	return Password(line), err
}

// Characters of connection strings are excluded, since both values appear in
// messages.
var (
	domainForm = regexp.MustCompile(`^[^\s.*>@=/\\:\x00-\x1f]+$`)
	prefixForm = regexp.MustCompile(`^[^\s.*>@=/\\:\x00-\x1f]+(\.[^\s.*>@=/\\:\x00-\x1f]+)*\.?$`)
)

func parseJSDomain(v string) (JSDomain, error) {
	if !domainForm.MatchString(v) {
		return "", errInvalid
	}
	return JSDomain(v), nil
}

func parseJSPrefix(v string) (JSPrefix, error) {
	if !prefixForm.MatchString(v) {
		return "", errInvalid
	}
	return JSPrefix(strings.TrimSuffix(v, ".")), nil
}

// deriveNATS fills in from NATS_CONTEXT what no setting says, and checks the settings
// against each other and against the files that they name.
func (s *Projector) deriveNATS(values, environ map[string]string) (problems []error) {
	explicit := identitySettings(values)
	switch {
	case len(explicit) > 1:
		problems = append(problems, fmt.Errorf("%s are set: each says who the projector is to NATS, and only one may; leave out the others",
			strings.Join(explicit, " and ")))
	case values["NATS_USER"] != "" && values["NATS_PASSWORD"] == "":
		problems = append(problems, errors.New("NATS_USER is set, and NATS_PASSWORD is not: a user has a password; set it, or leave out the user"))
	case values["NATS_USER"] == "" && values["NATS_PASSWORD"] != "":
		problems = append(problems, errors.New("NATS_PASSWORD is set, and NATS_USER is not: say whose password it is, or leave it out"))
	}
	for _, pair := range [][2]string{{"NATS_CERT", "NATS_KEY"}, {"NATS_KEY", "NATS_CERT"}} {
		if values[pair[0]] != "" && values[pair[1]] == "" {
			problems = append(problems, fmt.Errorf("%s is set, and %s is not: a client certificate and its private key go together; set both, or neither",
				pair[0], pair[1]))
		}
	}
	if values["NATS_JS_DOMAIN"] != "" && values["NATS_JS_PREFIX"] != "" {
		problems = append(problems, errors.New("NATS_JS_DOMAIN and NATS_JS_PREFIX are both set: a domain stands for the prefix $JS.<domain>.API; leave out one"))
	}
	problems = append(problems, s.natsFiles(values)...)
	if values["NATS_CONTEXT"] != "" {
		problems = append(problems, s.useContext(values, environ)...)
	}
	return problems
}

// identitySettings names the settings that say as whom the projector connects to NATS.
func identitySettings(values map[string]string) (names []string) {
	for _, name := range []string{"NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_TOKEN"} {
		if values[name] != "" {
			names = append(names, name)
		}
	}
	for server := range strings.SplitSeq(values["NATS_URL"], ",") {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil && u.User != nil {
			return append(names, "a user in NATS_URL")
		}
	}
	return names
}

// natsFiles checks the contents of the files. Files that could not be opened have
// been reported.
func (s *Projector) natsFiles(values map[string]string) (problems []error) {
	for _, f := range []struct {
		name  string
		path  File
		check func(File) error
	}{{"NATS_CREDS", s.NATSCreds, checkCreds}, {"NATS_NKEY", s.NATSNKey, checkSeed}, {"NATS_CA", s.NATSCA, checkCA}} {
		if f.path == "" {
			continue
		}
		if err := f.check(f.path); err != nil {
			problems = append(problems, problem(ForProjector, f.name, values, err))
		}
	}
	if s.NATSCert != "" && s.NATSKey != "" {
		if err := checkPair(s.NATSCert, s.NATSKey); err != nil {
			problems = append(problems, fmt.Errorf("NATS_CERT and NATS_KEY cannot be used together: %w: they have to be a certificate and its "+
				"unencrypted private key, both PEM", err))
		}
	}
	return problems
}

var (
	userSeed = regexp.MustCompile(`(?m)^\s*SU[A-Z2-7]{40,}\s*$`)
	userJWT  = regexp.MustCompile(`(?m)^\s*eyJ[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]+\s*$`)
)

// contentCheck is a condition on the contents of a file, and what is wrong where it
// does not hold.
type contentCheck struct {
	ok    func([]byte) bool
	wrong string
}

// checkContents reads a file and returns the first condition that does not hold.
func checkContents(path File, checks ...contentCheck) error {
	b, err := os.ReadFile(string(path))
	if err != nil {
		return errors.New("it cannot be read")
	}
	for _, c := range checks {
		if !c.ok(b) {
			return errors.New(c.wrong)
		}
	}
	return nil
}

func checkCreds(path File) error {
	return checkContents(path, contentCheck{userJWT.Match, "it holds no user's JWT"}, holdsSeed())
}

func checkSeed(path File) error { return checkContents(path, holdsSeed()) }

func holdsSeed() contentCheck {
	return contentCheck{userSeed.Match, "it holds no user's seed, which begins with SU"}
}

func checkCA(path File) error {
	return checkContents(path, contentCheck{x509.NewCertPool().AppendCertsFromPEM, "it holds no certificate"})
}

func checkPair(cert, key File) error {
	_, err := tls.LoadX509KeyPair(string(cert), string(key))
	return err
}

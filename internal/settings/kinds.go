package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/secret"
)

// Kinds of values. A value of one of these in a loaded struct is right.
type (
	DatabaseURL   string // a PostgreSQL URL or keyword/value string that pgx accepts
	Addr          string // host:port, the host may be missing
	HTTPURL       string // absolute, http or https, as given
	NATSURL       string // one or more server URLs separated by commas
	File          string // a path that could be opened
	Folder        string // a path of a folder that is there
	StreamName    string // as JetStream accepts it
	Secret        string // never printed
	LogLevel      slog.Level
	LogFormat     string        // "text", "json", or empty to choose by the output
	Bytes         int64         // a size
	Count         int           // 0 to 64
	Whole         int           // 0 to 10,000,000
	PositiveCount int           // 1 to 10,000,000
	Takeover      time.Duration // 1 s to 5 min
	Origin        string        // of a web page, as browsers send it, or "*"
	HeaderName    string        // of an HTTP header
)

// Rate is a number of requests a second, and how many may come at once. The
// zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Network is a range of addresses.
type Network netip.Prefix

// String hides the secret from whoever prints settings.
func (s Secret) String() string { return secret.Hidden }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return secret.Hidden }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(secret.Hidden) }

// String hides the password from whoever prints settings; the value itself is
// string(p).
func (p Password) String() string { return secret.Hidden }

// GoString hides the password from %#v.
func (p Password) GoString() string { return secret.Hidden }

// LogValue hides the password from logs.
func (p Password) LogValue() slog.Value { return slog.StringValue(secret.Hidden) }

// String hides the password from whoever prints settings; the value itself is
// string(u).
func (u DatabaseURL) String() string { return secret.QuoteURL(string(u)) }

// String hides the password from whoever prints settings; the value itself is
// string(u).
func (u NATSURL) String() string { return secret.QuoteURL(string(u)) }

// parsers holds one function for each kind. Errors add to what [Doc.Right]
// says, and never repeat the value.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[DatabaseURL]():   kind(parseDatabaseURL),
		reflect.TypeFor[Addr]():          kind(parseAddr),
		reflect.TypeFor[HTTPURL]():       kind(parseHTTPURL),
		reflect.TypeFor[NATSURL]():       kind(parseNATSURL),
		reflect.TypeFor[File]():          kind(parseFile),
		reflect.TypeFor[Folder]():        kind(parseFolder),
		reflect.TypeFor[StreamName]():    kind(parseStreamName),
		reflect.TypeFor[Secret]():        kind(parseSecret),
		reflect.TypeFor[Line]():          kind(parseLine),
		reflect.TypeFor[Password]():      kind(parsePassword),
		reflect.TypeFor[JSDomain]():      kind(parseJSDomain),
		reflect.TypeFor[JSPrefix]():      kind(parseJSPrefix),
		reflect.TypeFor[LogFormat]():     kind(parseLogFormat),
		reflect.TypeFor[Origin]():        kind(parseOrigin),
		reflect.TypeFor[HeaderName]():    kind(parseHeaderName),
		reflect.TypeFor[Rate]():          kind(parseRate),
		reflect.TypeFor[Network]():       kind(parseNetwork),
		reflect.TypeFor[Bytes]():         kind(parseBytes),
		reflect.TypeFor[Count]():         kind(func(v string) (Count, error) { return parseCount[Count](v, 0, 64) }),
		reflect.TypeFor[Whole]():         kind(func(v string) (Whole, error) { return parseCount[Whole](v, 0, 1e7) }),
		reflect.TypeFor[PositiveCount](): kind(func(v string) (PositiveCount, error) { return parseCount[PositiveCount](v, 1, 1e7) }),
		reflect.TypeFor[time.Duration](): kind(parseDuration),
		reflect.TypeFor[Takeover]():      kind(parseTakeover),
		reflect.TypeFor[LogLevel]():      kind(parseLevel),
	}
}

func kind[T any](parse func(string) (T, error)) env.ParserFunc {
	return func(v string) (any, error) { return parse(v) }
}

var errNotRight = errors.New("not right")

func parseDatabaseURL(v string) (DatabaseURL, error) {
	if _, err := pgxpool.ParseConfig(v); err != nil {
		if name := wrongParameter(err); name != "" {
			return "", fmt.Errorf("its %s is not right", name)
		}
		return "", besideLibpq() // pgx's error may repeat the password
	}
	if u, err := url.Parse(v); err == nil && cutShort(u) {
		return "", errNotRight
	}
	return DatabaseURL(v), nil
}

// wrongParameter is the parameter of a connection string that pgx takes offence
// at. Its error repeats the string, so only what is known by name is taken of it.
func wrongParameter(err error) string {
	text := err.Error()
	reason := text[strings.LastIndex(text, "`: ")+1:]
	for _, name := range []string{"default_query_exec_mode", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "connect_timeout", "target_session_attrs", "statement_cache_capacity",
		"description_cache_capacity", "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
		"pool_health_check_period", "pool_ping_timeout", "channel_binding", "sslnegotiation", "min_protocol_version", "max_protocol_version"} {
		if strings.Contains(reason, name) {
			return name
		}
	}
	return ""
}

// besideLibpq names the variables of PostgreSQL's own programs that are set: the
// driver fills in from them what a connection string leaves open.
func besideLibpq() error {
	var set []string
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") && value != "" {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return errNotRight
	}
	slices.Sort(set)
	return fmt.Errorf("%s, which PostgreSQL's driver reads as well, may be what is wrong", strings.Join(set, " and "))
}

func parseAddr(v string) (Addr, error) {
	host, port, err := net.SplitHostPort(v)
	if err != nil || strings.ContainsAny(host, "@=/ ") {
		return "", errNotRight
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errNotRight
	}
	return Addr(v), nil
}

func parseHTTPURL(v string) (HTTPURL, error) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || cutShort(u) ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errNotRight
	}
	return HTTPURL(v), nil
}

func parseNATSURL(v string) (NATSURL, error) {
	for server := range strings.SplitSeq(v, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Hostname() == "" || cutShort(u) {
			return "", errNotRight
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return "", errNotRight
		}
	}
	return NATSURL(v), nil
}

// cutShort tells whether what looks like the end of a URL's host was likely meant
// to be in its password: in nats://u:1234/x@h the password has a slash,
// u would be connected to, and errors would name half of the password as a port.
func cutShort(u *url.URL) bool {
	rest := u.EscapedPath() + u.EscapedFragment()
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(pair, "=")
		rest += key
	}
	return (u.Host != "" || u.User != nil) && strings.Contains(rest, "@")
}

func parseFile(v string) (File, error) {
	f, err := os.Open(v)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return "", fmt.Errorf("it cannot be opened: %w", err)
	}
	return File(v), f.Close()
}

func parseFolder(v string) (Folder, error) {
	info, err := os.Stat(v)
	if err != nil {
		return "", errors.New("it is not there")
	}
	if !info.IsDir() {
		return "", errNotRight
	}
	return Folder(v), nil
}

func parseStreamName(v string) (StreamName, error) {
	if strings.ContainsAny(v, " \t\r\n\f.*>/\\@=") { // the last two for connection strings: the name is in messages
		return "", errNotRight
	}
	return StreamName(v), nil
}

func parseSecret(v string) (Secret, error) {
	if len(v) < 32 {
		return "", fmt.Errorf("it has %d bytes", len(v))
	}
	return Secret(v), nil
}

func parseLogFormat(v string) (LogFormat, error) {
	if v != "text" && v != "json" {
		return "", errNotRight
	}
	return LogFormat(v), nil
}

func parseLevel(v string) (LogLevel, error) {
	switch v {
	case "debug":
		return LogLevel(slog.LevelDebug), nil
	case "info":
		return LogLevel(slog.LevelInfo), nil
	case "warn":
		return LogLevel(slog.LevelWarn), nil
	case "error":
		return LogLevel(slog.LevelError), nil
	}
	return 0, errNotRight
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errNotRight
	}
	return d, nil
}

func parseTakeover(v string) (Takeover, error) {
	d, err := parseDuration(v)
	if err != nil || d < time.Second || d > 5*time.Minute {
		return 0, errNotRight
	}
	return Takeover(d), nil
}

func parseOrigin(v string) (Origin, error) {
	v = strings.TrimSpace(v)
	u, err := url.Parse(v)
	if v != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != v || strings.ToLower(v) != v || strings.Contains(v, "*")) {
		return "", errNotRight
	}
	return Origin(v), nil
}

// parseHeaderName takes what a header may be named (RFC 9110 §5.6.2) but "*", which
// browsers take for all headers but Authorization.
func parseHeaderName(v string) (HeaderName, error) {
	v = strings.TrimSpace(v)
	for _, c := range []byte(v) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'+-.^_`|~", c) >= 0) {
			return "", errNotRight
		}
	}
	if v == "" {
		return "", errNotRight
	}
	return HeaderName(v), nil
}

func parseRate(v string) (Rate, error) {
	perSecond, burst, both := strings.Cut(v, ":")
	r, err := strconv.ParseFloat(perSecond, 64)
	if err != nil || !(r >= 0.001 && r <= 1e6) {
		return Rate{}, errNotRight
	}
	n := int(math.Ceil(r))
	if both {
		if n, err = strconv.Atoi(burst); err != nil || n < 1 || n > 1e6 {
			return Rate{}, errNotRight
		}
	}
	return Rate{r, n}, nil
}

func parseNetwork(v string) (Network, error) {
	v = strings.TrimSpace(v)
	if a, err := netip.ParseAddr(v); err == nil {
		p, err := a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
		return Network(p), err
	}
	p, err := netip.ParsePrefix(v)
	if err != nil || p != p.Masked() {
		return Network{}, errNotRight
	}
	return Network(p), nil
}

func parseCount[T ~int](v string, low, high int) (T, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return 0, errNotRight
	}
	return T(n), nil
}

func parseBytes(v string) (Bytes, error) {
	v = strings.ToLower(v)
	digits := strings.TrimRight(v, "bkmgi ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errNotRight
	}
	var unit int64
	switch strings.TrimSpace(v[len(digits):]) {
	case "", "b":
		unit = 1
	case "kb":
		unit = 1e3
	case "mb":
		unit = 1e6
	case "gb":
		unit = 1e9
	case "kib":
		unit = 1 << 10
	case "mib":
		unit = 1 << 20
	case "gib":
		unit = 1 << 30
	default:
		return 0, errNotRight
	}
	if n > math.MaxInt64/unit || n*unit < 1<<20 {
		return 0, errNotRight
	}
	return Bytes(n * unit), nil
}

package settings

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

func parseDatabaseURL(v string) (DatabaseURL, error) {
	if _, err := pgxpool.ParseConfig(v); err != nil {
		if name := wrongParameter(err); name != "" {
			return "", fmt.Errorf("its %s is not right", name)
		}
		return "", libpqError() // pgx's error may repeat the password
	}
	if u, err := url.Parse(v); err == nil && hostMayBePassword(u) {
		return "", errInvalid
	}
	return DatabaseURL(v), nil
}

// wrongParameter names the parameter of a connection string that pgx rejects, or
// returns "". pgx's error repeats the string, so only known names are taken from it.
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

// libpqError names the environment variables of PostgreSQL's own programs that are
// set: the driver takes from them what a connection string leaves out.
func libpqError() error {
	var set []string
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PG") && value != "" {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return errInvalid
	}
	slices.Sort(set)
	return fmt.Errorf("%s, which PostgreSQL's driver reads as well, may be what is wrong", strings.Join(set, " and "))
}

func parseAddr(v string) (Addr, error) {
	host, port, err := net.SplitHostPort(v)
	if err != nil || strings.ContainsAny(host, "@=/ ") {
		return "", errInvalid
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errInvalid
	}
	return Addr(v), nil
}

func parseHTTPURL(v string) (HTTPURL, error) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || hostMayBePassword(u) ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errInvalid
	}
	return HTTPURL(v), nil
}

func parseNATSURL(v string) (NATSURL, error) {
	for server := range strings.SplitSeq(v, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Hostname() == "" || hostMayBePassword(u) {
			return "", errInvalid
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return "", errInvalid
		}
	}
	return NATSURL(v), nil
}

// hostMayBePassword reports whether the end of a URL's host is probably part of its password.
// In nats://u:1234/x@h the password contains a slash: the client would connect to u,
// and errors would show half of the password as a port.
func hostMayBePassword(u *url.URL) bool {
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
		return "", errInvalid
	}
	return Folder(v), nil
}

func parseStreamName(v string) (StreamName, error) {
	// the last two for connection strings: the name appears in messages
	if strings.ContainsAny(v, " \t\r\n\f.*>/\\@=") {
		return "", errInvalid
	}
	return StreamName(v), nil
}

func parseOrigin(v string) (Origin, error) {
	v = strings.TrimSpace(v)
	u, err := url.Parse(v)
	if v != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != v || strings.ToLower(v) != v || strings.Contains(v, "*")) {
		return "", errInvalid
	}
	return Origin(v), nil
}

// parseHeaderName accepts a header name (RFC 9110 §5.6.2) except "*", which stands
// for all headers but Authorization in browsers.
func parseHeaderName(v string) (HeaderName, error) {
	v = strings.TrimSpace(v)
	for _, c := range []byte(v) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'+-.^_`|~", c) >= 0) {
			return "", errInvalid
		}
	}
	if v == "" {
		return "", errInvalid
	}
	return HeaderName(v), nil
}

func parseNetwork(v string) (Network, error) {
	v = strings.TrimSpace(v)
	if a, err := netip.ParseAddr(v); err == nil {
		p, err := a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
		return Network(p), err
	}
	p, err := netip.ParsePrefix(v)
	if err != nil || p != p.Masked() {
		return Network{}, errInvalid
	}
	return Network(p), nil
}

package settings

import (
	"log/slog"
	"net"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Unprotected is a connection to another machine on which somebody on the way could
// read along, or take the server's place.
type Unprotected struct {
	Setting string // whose value says so
	Host    string
	Advice  string // what would protect it
}

// Advice for each kind of connection.
const (
	adviceDatabase = "sslmode=verify-full, with sslrootcert where the server's authority is not one of the system's"
	adviceNATS     = "tls:// in place of nats://, wss:// in place of ws://, or NATS_CA, with which TLS is demanded"
	adviceTraces   = "https://, since what OTEL_EXPORTER_OTLP_HEADERS says goes with every request"
	adviceKeys     = "https://: by keys that were changed on the way anybody's token could be made"
)

// Warn logs each connection that is not protected. A network may protect it in another
// way, so that is no error.
func Warn(log *slog.Logger, all []Unprotected) {
	for _, u := range all {
		log.Warn("a connection is not protected by TLS from who is on the way", "setting", u.Setting, "host", u.Host, "advice", u.Advice)
	}
}

// Unprotected lists the API's connections to other machines that no certificate
// protects.
func (s API) Unprotected() []Unprotected {
	all := unprotectedDatabases(map[string]DatabaseURL{"DATABASE_URL": s.DatabaseURL, "DATABASE_DIRECT_URL": s.DatabaseDirect})
	if u, err := url.Parse(string(s.JWKSURL)); err == nil && u.Scheme == "http" && !onThisMachine(u.Hostname()) {
		all = append(all, Unprotected{"JWT_JWKS_URL", u.Hostname(), adviceKeys})
	}
	return append(all, s.unprotectedTraces()...)
}

// Unprotected lists the same of `projector run`.
func (s Projector) Unprotected() []Unprotected {
	return append(unprotectedDatabases(map[string]DatabaseURL{"DATABASE_URL": s.DatabaseURL, "DATABASE_DIRECT_URL": s.DatabaseDirect}), append(s.unprotectedNATS(), s.unprotectedTraces()...)...)
}

// UnprotectedRelay lists the same of `projector relay`.
func (s Projector) UnprotectedRelay() []Unprotected {
	return append(unprotectedDatabases(map[string]DatabaseURL{"OUTBOX_DATABASE_URL": s.OutboxURL}), append(s.unprotectedNATS(), s.unprotectedTraces()...)...)
}

// unprotectedTraces looks at the way to the collector, where a secret may go with what
// is sent. Without one there is nothing to protect: spans name nobody.
func (t Tracing) unprotectedTraces() []Unprotected {
	u, err := url.Parse(string(t.TraceEndpoint))
	if err != nil || u.Scheme != "http" || bool(t.TraceOff) || t.TraceHeaders == "" || onThisMachine(u.Hostname()) {
		return nil
	}
	return []Unprotected{{"OTEL_EXPORTER_OTLP_ENDPOINT", u.Hostname(), adviceTraces}}
}

// unprotectedDatabases looks at what pgx makes of each URL and of the environment that
// it reads as well: one of the ways that it would try is enough.
func unprotectedDatabases(urls map[string]DatabaseURL) (all []Unprotected) {
	for _, name := range []string{"DATABASE_URL", "DATABASE_DIRECT_URL", "OUTBOX_DATABASE_URL"} {
		if urls[name] == "" {
			continue
		}
		cfg, err := pgxpool.ParseConfig(string(urls[name]))
		if err != nil {
			continue // which was reported
		}
		c := cfg.ConnConfig
		host, open := c.Host, c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify && c.TLSConfig.VerifyPeerCertificate == nil
		open = open && !onThisMachine(host)
		for _, f := range c.Fallbacks {
			if !open && !onThisMachine(f.Host) && (f.TLSConfig == nil || f.TLSConfig.InsecureSkipVerify && f.TLSConfig.VerifyPeerCertificate == nil) {
				host, open = f.Host, true
			}
		}
		if open {
			all = append(all, Unprotected{name, host, adviceDatabase})
		}
	}
	return all
}

// unprotectedNATS looks at the servers. Where one of them is asked for by tls://, or an
// authority or a certificate is set, the client demands TLS of all of them.
func (s Projector) unprotectedNATS() []Unprotected {
	if s.NATSCA != "" || s.NATSCert != "" || s.TLSFirst {
		return nil
	}
	for server := range strings.SplitSeq(string(s.NATSURL), ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err == nil && (u.Scheme == "nats" || u.Scheme == "ws") && !onThisMachine(u.Hostname()) {
			return []Unprotected{{"NATS_URL", u.Hostname(), adviceNATS}}
		}
	}
	return nil
}

// onThisMachine reports whether a host is this one by its name: a socket, a loopback
// address or localhost, in either case, and names below it (RFC 6761).
func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "" || strings.HasPrefix(host, "/") || name == "localhost" || strings.HasSuffix(name, ".localhost") || ip != nil && ip.IsLoopback()
}

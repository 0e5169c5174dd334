// Package settings reads and checks the programs' settings: environment variables,
// each overridden by a command-line flag of the same name (HTTP_ADDR is --http-addr).
//
// Everything is checked at start and at once. [LoadAPI], [LoadProjector] and
// [LoadDevstack] return every problem in one error, with the setting's name, its
// value, and what would be right; a struct that is returned without an error is valid
// as a whole. Secrets are never part of an error or of a printed struct.
package settings

import "time"

// API holds the settings of cmd/api.
type API struct {
	DatabaseURL    DatabaseURL `env:"DATABASE_URL,required"`
	DatabaseDirect DatabaseURL `env:"DATABASE_DIRECT_URL"` // empty: DatabaseURL
	HTTPAddr       Addr        `env:"HTTP_ADDR" envDefault:":8080"`
	AdminAddr      Addr        `env:"ADMIN_ADDR" envDefault:":9092"`
	SupabaseURL    HTTPURL     `env:"SUPABASE_URL"`
	Issuer         HTTPURL     `env:"JWT_ISSUER"` // derived from SUPABASE_URL unless set
	// derived from the issuer unless set; empty with a secret and no SupabaseURL
	JWKSURL         HTTPURL       `env:"JWT_JWKS_URL"`
	JWTSecret       Secret        `env:"JWT_SECRET"`
	Audience        string        `env:"JWT_AUDIENCE" envDefault:"authenticated"`
	OAuthClients    []string      `env:"ALLOW_OAUTH_CLIENTS" envSeparator:","`
	Origins         []Origin      `env:"CORS_ALLOWED_ORIGINS" envSeparator:","`
	Headers         []HeaderName  `env:"CORS_ALLOWED_HEADERS" envSeparator:","`
	RateLimit       Rate          `env:"RATE_LIMIT"`
	AddressRate     Rate          `env:"ADDRESS_RATE_LIMIT"`
	TrustedProxies  []Network     `env:"TRUSTED_PROXIES" envSeparator:","`
	MaxConnections  PositiveCount `env:"MAX_CONNECTIONS"` // derived from MemoryLimit unless set
	MemoryLimit     Bytes         `env:"API_MEMORY_LIMIT" envDefault:"256MiB"`
	SpoolDir        Folder        `env:"API_SPOOL_DIR"` // empty: the system's temporary folder
	SpoolLimit      Bytes         `env:"API_SPOOL_LIMIT" envDefault:"2GiB"`
	WriteTimeout    time.Duration `env:"WRITE_TIMEOUT" envDefault:"30s"`
	DrainDelay      time.Duration `env:"DRAIN_DELAY" envDefault:"1s"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s"`
	LogLevel        LogLevel      `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat       LogFormat     `env:"LOG_FORMAT"`
	Tracing

	Memory MemoryOrigin // where MemoryLimit comes from
}

// Devstack holds the settings of cmd/devstack. The programs that it starts have their
// own.
type Devstack struct {
	DatabaseURL DatabaseURL `env:"DATABASE_URL"` // empty: start a PostgreSQL
	AdminAddr   Addr        `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9094"`

	// Of the simulated control plane by itself.
	OutboxURL DatabaseURL `env:"OUTBOX_DATABASE_URL"`
	JWTSecret Secret      `env:"JWT_SECRET"` // with Issuer, or neither
	Issuer    HTTPURL     `env:"JWT_ISSUER"`
}

// Projector holds the settings of cmd/projector.
type Projector struct {
	DatabaseURL     DatabaseURL   `env:"DATABASE_URL,required"`
	DatabaseDirect  DatabaseURL   `env:"DATABASE_DIRECT_URL"` // empty: DatabaseURL
	OutboxURL       DatabaseURL   `env:"OUTBOX_DATABASE_URL"` // empty: there is no outbox
	NATSURL         NATSURL       `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222"`
	NATSCreds       File          `env:"NATS_CREDS"`
	NATSCA          File          `env:"NATS_CA"`
	NATSCert        File          `env:"NATS_CERT"` // with NATSKey, or neither
	NATSKey         File          `env:"NATS_KEY"`
	NATSNKey        File          `env:"NATS_NKEY"`
	NATSUser        Line          `env:"NATS_USER"` // with NATSPassword, or neither
	NATSPassword    Password      `env:"NATS_PASSWORD"`
	NATSToken       Password      `env:"NATS_TOKEN"`
	NATSContext     string        `env:"NATS_CONTEXT"` // its values are in the other fields already
	NATSJSDomain    JSDomain      `env:"NATS_JS_DOMAIN"`
	NATSJSPrefix    JSPrefix      `env:"NATS_JS_PREFIX"` // without a dot at its end; not together with a domain
	Stream          StreamName    `env:"STREAM" envDefault:"CONTROL_PLANE"`
	AdminAddr       Addr          `env:"ADMIN_ADDR" envDefault:":9091"`
	Lanes           Count         `env:"LANES" envDefault:"0"`
	MemoryLimit     Bytes         `env:"MEMORY_LIMIT" envDefault:"512MiB"`
	StateCacheBytes Bytes         `env:"STATE_CACHE_BYTES"`
	BatchEvents     PositiveCount `env:"BATCH_EVENTS" envDefault:"200000"`
	BatchBytes      Bytes         `env:"BATCH_BYTES"`
	AuditRate       Whole         `env:"AUDIT_RATE" envDefault:"1000"`
	AuditBytes      Bytes         `env:"AUDIT_BYTES" envDefault:"1MiB"`
	CompressBytes   Whole         `env:"COMPRESS_BYTES" envDefault:"4194304"`
	TakeoverAfter   Takeover      `env:"TAKEOVER_AFTER" envDefault:"5s"`
	ConsoleAddr     Addr          `env:"CONSOLE_ADDR" envDefault:"127.0.0.1:9093"`
	UserHeader      HeaderName    `env:"CONSOLE_USER_HEADER"` // of the console alone, as the next two
	Privacy         Privacy       `env:"CONSOLE_PRIVACY" envDefault:"masked"`
	TrustedProxies  []Network     `env:"TRUSTED_PROXIES" envSeparator:","`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"10s"`
	LogLevel        LogLevel      `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat       LogFormat     `env:"LOG_FORMAT"`
	Tracing

	Memory MemoryOrigin // where MemoryLimit comes from

	// Only a context of the `nats` program sets these.
	InboxPrefix string // of the subjects of answers; default _INBOX
	TLSFirst    bool   // the TLS handshake comes before the server's INFO
}

package settings

// Program is a program that settings are for.
type Program string

// The programs.
const (
	ForAPI       Program = "api"
	ForProjector Program = "projector"
	ForDevstack  Program = "devstack"
)

// Doc describes a setting of one program, or of several for which it is the same.
type Doc struct {
	Name    string    // of the environment variable
	Default string    // "required", "–" for none, or the value
	UsedBy  []Program // never empty
	Meaning string    // half a sentence
	Right   string    // what a valid value looks like
	Secret  bool      // the value is never shown
}

// Docs lists every setting, in the order of doc/reference.md.
func Docs() []Doc {
	both := []Program{ForAPI, ForProjector}
	api, projector, devstack := both[:1], both[1:], []Program{ForDevstack}
	return []Doc{
		{"DATABASE_URL", "required", both, "the read model's PostgreSQL",
			rightDatabase, true},
		{"DATABASE_DIRECT_URL", "<DATABASE_URL>", both, "the same database for what needs a session of its own, past a pooler of transactions",
			rightDatabase, true},
		{"OUTBOX_DATABASE_URL", "–", projector, "the control plane's PostgreSQL with the outbox, past any pooler of transactions; `relay` requires it, and `status` shows the outbox where it is set",
			rightDatabase, true},
		{"DATABASE_URL", "–", devstack, "a PostgreSQL to make two databases of its own on, instead of starting one", rightDatabase, true},
		{"OUTBOX_DATABASE_URL", "–", devstack, "a PostgreSQL database of its own for `simulate`, which requires it", rightDatabase, true},
		{"ADMIN_ADDR", "127.0.0.1:9094", devstack, "where its own metrics and health are served", rightAddr, false},
		{"JWT_SECRET", "–", devstack, "the API's secret, by which `simulate` makes a token to try it with; with JWT_ISSUER",
			"at least 32 bytes, the same as the API's", true},
		{"JWT_ISSUER", "–", devstack, "the API's issuer, for that token", rightURL, false},
		{"NATS_URL", "nats://127.0.0.1:4222", projector, "NATS servers, separated by commas",
			"nats://, tls://, ws:// or wss:// and a host, several separated by commas", true},
		{"NATS_CREDS", "–", projector, "NATS credentials file", "the path of a readable file with a user's JWT and seed, as nsc makes it", false},
		{"NATS_CA", "–", projector, "certificate authority of the NATS servers (PEM)", "the path of a readable file with PEM certificates", false},
		{"NATS_CERT", "–", projector, "client certificate for NATS (PEM), with NATS_KEY", "the path of a readable file", false},
		{"NATS_KEY", "–", projector, "its private key (PEM), with NATS_CERT", "the path of a readable file", false},
		{"NATS_NKEY", "–", projector, "file with the seed of an nkey", "the path of a readable file with a user's seed, which begins with SU", false},
		{"NATS_USER", "–", projector, "user of NATS, with NATS_PASSWORD", "text without line breaks", false},
		{"NATS_PASSWORD", "–", projector, "its password", "text without line breaks", true},
		{"NATS_TOKEN", "–", projector, "token for NATS", "text without line breaks", true},
		{"NATS_CONTEXT", "–", projector, "context of the `nats` program; whatever the settings above and below say comes first",
			"the name of a context in $XDG_CONFIG_HOME/nats/context or ~/.config/nats/context, or the path of one", false},
		{"NATS_JS_DOMAIN", "–", projector, "JetStream domain of the stream, where it is another than the server's",
			"the name of a domain: no white space, '.', '*', '>', '/', '\\', ':', '@' or '='", false},
		{"NATS_JS_PREFIX", "–", projector, "prefix of JetStream's API, where it is imported from another account",
			"a prefix of subjects such as JS.hub.API: no wildcards, white space, '/', '\\', ':', '@' or '='", false},
		{"STREAM", "CONTROL_PLANE", projector, "the event stream",
			"a stream name: no white space, '.', '*', '>', '/', '\\', '@' or '='", false},
		{"HTTP_ADDR", ":8080", api, "where the API listens", rightAddr, false},
		{"ADMIN_ADDR", ":9091", projector, "where metrics and health are served", rightAddr, false},
		{"ADMIN_ADDR", ":9092", api, "where metrics and health are served", rightAddr, false},
		{"SUPABASE_URL", "–", api, "the Supabase project; issuer and keys follow from it", rightProject, false},
		{"JWT_ISSUER", "<SUPABASE_URL>/auth/v1", api, "issuer of access tokens", rightURL, false},
		{"JWT_JWKS_URL", "<JWT_ISSUER>/.well-known/jwks.json", api, "where the issuer's keys are", rightURL, false},
		{"JWT_SECRET", "–", api, "shared secret of an older Supabase project, for tokens of HS256; all others are by the issuer's keys",
			"at least 32 bytes, as the Supabase project shows it", true},
		{"JWT_AUDIENCE", "authenticated", api, "audience of access tokens", "any text", false},
		{"ALLOW_OAUTH_CLIENTS", "–", api, "third-party OAuth clients whose tokens are accepted",
			"client ids separated by commas", false},
		{"CORS_ALLOWED_ORIGINS", "–", api, "origins of web pages that may read answers, or *",
			"origins such as https://app.example.com, in lower case and without a path, separated by commas, or *", false},
		{"CORS_ALLOWED_HEADERS", "–", api, "headers that such pages may send, beside those that SDKs send",
			"names of headers such as X-Tenant, separated by commas", false},
		{"RATE_LIMIT", "–", api, "requests a second for each account, and after a colon how many at once", rightRate, false},
		{"ADDRESS_RATE_LIMIT", "–", api, "the same for each address (of IPv6: each /64)", rightRate, false},
		{"TRUSTED_PROXIES", "–", api, "proxies whose X-Forwarded-For is believed", rightNetworks, false},
		{"MAX_CONNECTIONS", "<API_MEMORY_LIMIT>/64KiB, at most 10000", api,
			"most connections at once; a new one then has the place of the one that has been idle for longest", "a whole number from 1 to 10000000", false},
		{"API_MEMORY_LIMIT", "256MiB", api, "most memory of the process, unless given at most 80 % of what the container may use; what is being sent and does not fit goes to files",
			"a size such as 256MiB, 1GB or 268435456, of at least 64MiB", false},
		{"API_SPOOL_DIR", "<TMPDIR>", api, "where those files are, which have no name", "a folder that can be written", false},
		{"API_SPOOL_LIMIT", "2GiB", api, "most bytes in them; what does not fit waits", rightBytes, false},
		{"WRITE_TIMEOUT", "30s", api, "how long a client may take nothing of its answer before it is cut off", rightDuration, false},
		{"DRAIN_DELAY", "1s", api, "how long requests are still taken after SIGTERM, unready, before it ends", rightDuration, false},
		{"LANES", "0", projector, "connections that are written on at once; 0: as many as suit the cores",
			"a whole number from 0 to 64", false},
		{"MEMORY_LIMIT", "512MiB", projector, "most memory of the process, as the operating system counts it, unless given at most 80 % of what the container may use; what does not fit waits",
			"a size such as 512MiB, 1GB or 536870912, of at least 128MiB", false},
		{"STATE_CACHE_BYTES", "<MEMORY_LIMIT>/4", projector, "bound of the account state kept in memory", rightBytes, false},
		{"BATCH_EVENTS", "200000", projector, "most events in one transaction", "a whole number from 1 to 10000000", false},
		{"BATCH_BYTES", "<MEMORY_LIMIT>/10", projector, "most bytes of changed accounts in one transaction of each lane, taken together", rightBytes, false},
		{"AUDIT_RATE", "1000", projector, "messages a second at which `run` holds accounts, drawn at random, against the stream; an account counts as 1000 beside its own; 0: no audit",
			"a whole number from 0 to 10000000", false},
		{"AUDIT_BYTES", "1MiB", projector, "bytes a second that the audit reads at most of stream and database", rightBytes, false},
		{"COMPRESS_BYTES", "4194304", projector, "bytes a second at which `run` compresses pages that have come to rest; 0: none, and documents are compressed as they are read",
			"a whole number from 0 to 10000000", false},
		{"TAKEOVER_AFTER", "5s", projector, "how long a replica that has gone silent keeps its partitions at most; the same for all replicas",
			"a time from 1s to 5m, such as 5s", false},
		{"CONSOLE_ADDR", "127.0.0.1:9093", projector, "where `console` listens; one that other machines can reach needs the next two",
			rightAddr, false},
		{"CONSOLE_USER_HEADER", "–", projector, "header in which such a proxy says who asks the console; whoever comes without it is refused",
			"the name of a header such as X-Forwarded-User, together with TRUSTED_PROXIES", false},
		{"TRUSTED_PROXIES", "–", projector, "proxies that the console believes this header of", rightNetworks, false},
		{"CONSOLE_PRIVACY", "masked", projector, "what of personal data the console shows", "masked or full", false},
		{"SHUTDOWN_TIMEOUT", "10s", both, "how long work at hand may take to finish", rightDuration, false},
		{"LOG_LEVEL", "info", both, "the least severe messages logged", "debug, info, warn or error", false},
		{"LOG_FORMAT", "text on a terminal, json otherwise", both, "form of the log", "text or json", false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "–", both, "collector that traces are sent to, by OTLP over HTTP at `/v1/traces` below it; not set: nothing is traced", rightURL, false},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", both, "how they are sent", "http/protobuf", false},
		{"OTEL_EXPORTER_OTLP_HEADERS", "–", both, "headers that the collector is sent", rightPairs, true},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "–", both, "certificate authority of the collector (PEM)", "the path of a readable file with PEM certificates", false},
		{"OTEL_SERVICE_NAME", "accountexport-<program>", both, "name of the program in traces", "text without line breaks", false},
		{"OTEL_RESOURCE_ATTRIBUTES", "–", both, "what traces say of the program beside that", rightPairs, true},
		{"OTEL_TRACES_SAMPLER", "parentbased_always_on", both, "which traces there are",
			"always_on, always_off, traceidratio, or one of these after parentbased_", false},
		{"OTEL_TRACES_SAMPLER_ARG", "1", both, "share of them, for traceidratio", "a number from 0 to 1, such as 0.01", false},
		{"OTEL_SDK_DISABLED", "false", both, "switches traces off whatever the other settings are", "true or false", false},
	}
}

const (
	rightDatabase = "a PostgreSQL connection string such as postgres://user:password@host:5432/database, with %20 for a space in the password, %2F for /, %40 for @, %25 for %"
	rightNetworks = "addresses or networks such as 10.0.0.0/8, separated by commas"
	rightAddr     = "host:port or :port, such as 127.0.0.1:8080, with a port from 0 to 65535"
	rightURL      = "an absolute http:// or https:// URL without query or fragment, such as https://project.supabase.co"
	rightProject  = "the project's address such as https://project.supabase.co, http:// or https://, without query or fragment"
	rightBytes    = "a size such as 64MiB, 512MB or 1048576, of at least 1MiB"
	rightRate     = "a number from 0.001 to 1000000, such as 5 or 0.5, or with the burst, such as 0.5:10"
	rightPairs    = "names and values such as key=value, separated by commas, with a percent sign and two digits for what these are not"
	rightDuration = "a time above zero such as 500ms, 10s or 1m30s"
)

func find(program Program, name string) (Doc, bool) {
	for _, d := range Docs() {
		if d.Name == name && d.usedBy(program) {
			return d, true
		}
	}
	return Doc{}, false
}

func (d Doc) usedBy(program Program) bool {
	for _, p := range d.UsedBy {
		if p == program {
			return true
		}
	}
	return false
}

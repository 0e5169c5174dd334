package settings

import (
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"accountexport/internal/secret"
)

// Kinds of values. A value of one of these types in a loaded struct is valid.
type (
	DatabaseURL   string // a PostgreSQL URL or keyword/value string that pgx accepts
	Addr          string // host:port; the host may be missing
	HTTPURL       string // absolute, http or https, as given
	NATSURL       string // one or more server URLs separated by commas
	File          string // a path that could be opened
	Folder        string // a path of an existing folder
	StreamName    string // as JetStream accepts it
	Secret        string // never printed
	LogLevel      slog.Level
	LogFormat     string        // "text", "json", or empty to choose by the output
	Bytes         int64         // a size in bytes
	Count         int           // 0 to 64
	Whole         int           // 0 to 10,000,000
	PositiveCount int           // 1 to 10,000,000
	Takeover      time.Duration // 1 s to 5 min
	Origin        string        // of a web page, as browsers send it, or "*"
	HeaderName    string        // of an HTTP header
	Privacy       string        // "masked" or "full"
)

// Rate is a number of requests per second, and how many may come at once. The zero
// value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Network is a range of IP addresses.
type Network netip.Prefix

// String keeps the secret out of printed settings.
func (s Secret) String() string { return secret.Hidden }

// GoString keeps the secret out of %#v.
func (s Secret) GoString() string { return secret.Hidden }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(secret.Hidden) }

// String keeps the password out of printed settings. The value itself is string(p).
func (p Password) String() string { return secret.Hidden }

// GoString keeps the password out of %#v.
func (p Password) GoString() string { return secret.Hidden }

// LogValue keeps the password out of logs.
func (p Password) LogValue() slog.Value { return slog.StringValue(secret.Hidden) }

// String keeps the password out of printed settings. The value itself is string(u).
func (u DatabaseURL) String() string { return secret.QuoteURL(string(u)) }

// String keeps the password out of printed settings. The value itself is string(u).
func (u NATSURL) String() string { return secret.QuoteURL(string(u)) }

// parsers holds the parser of each kind. Their errors add to what [Doc.Right] says,
// and never repeat the value.
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
		reflect.TypeFor[Privacy]():       kind(parsePrivacy),
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
		reflect.TypeFor[OTLPProtocol]():  kind(parseOTLPProtocol),
		reflect.TypeFor[Sampler]():       kind(parseSampler),
		reflect.TypeFor[Ratio]():         kind(parseRatio),
		reflect.TypeFor[Switch]():        kind(parseSwitch),
		reflect.TypeFor[Pairs]():         kind(parsePairs),
	}
}

func kind[T any](parse func(string) (T, error)) env.ParserFunc {
	return func(v string) (any, error) { return parse(v) }
}

var errInvalid = errors.New("not right")

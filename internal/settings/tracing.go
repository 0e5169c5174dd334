package settings

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"accountexport/internal/tracing"
)

// Tracing holds the settings of OpenTelemetry that both programs have. They are the
// variables of its specification.
type Tracing struct {
	TraceEndpoint   HTTPURL      `env:"OTEL_EXPORTER_OTLP_ENDPOINT"` // empty: nothing is traced
	TraceProtocol   OTLPProtocol `env:"OTEL_EXPORTER_OTLP_PROTOCOL" envDefault:"http/protobuf"`
	TraceHeaders    Pairs        `env:"OTEL_EXPORTER_OTLP_HEADERS"`
	TraceCA         File         `env:"OTEL_EXPORTER_OTLP_CERTIFICATE"`
	TraceService    Line         `env:"OTEL_SERVICE_NAME"`
	TraceResource   Pairs        `env:"OTEL_RESOURCE_ATTRIBUTES"`
	TraceSampler    Sampler      `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_always_on"`
	TraceSamplerArg Ratio        `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"1"`
	TraceOff        Switch       `env:"OTEL_SDK_DISABLED" envDefault:"false"`
}

// Kinds of values of these settings.
type (
	OTLPProtocol string  // as the specification has them
	Sampler      string  // the same
	Ratio        float64 // from 0 to 1
	Switch       bool    // "true" or "false"
)

// Pairs are texts by name, as they were given. They may hold secrets, and are never
// printed.
type Pairs string

// String keeps secrets out of printed settings.
func (Pairs) String() string { return "(hidden)" }

// GoString keeps secrets out of %#v.
func (Pairs) GoString() string { return "(hidden)" }

// byName reads them.
func (p Pairs) byName() map[string]string {
	out, _ := readPairs(string(p)) // they were read before
	return out
}

// Config is how to trace a program by these settings, which has the version.
func (t Tracing) Config(service, version string) tracing.Config {
	c := tracing.Config{Endpoint: string(t.TraceEndpoint), Headers: t.TraceHeaders.byName(), CA: string(t.TraceCA), Service: service, Version: version,
		Resource: t.TraceResource.byName(), Sampler: string(t.TraceSampler), Ratio: float64(t.TraceSamplerArg)}
	if name := c.Resource["service.name"]; name != "" {
		c.Service = name
	}
	if t.TraceService != "" {
		c.Service = string(t.TraceService)
	}
	if t.TraceOff {
		c.Endpoint = ""
	}
	return c
}

// check refuses a protocol that traces are not sent by, and a file without a certificate, where
// they are sent.
func (t Tracing) check(program Program, values map[string]string) (problems []error) {
	if t.TraceEndpoint != "" && !bool(t.TraceOff) && t.TraceCA != "" {
		if err := checkCA(t.TraceCA); err != nil {
			problems = append(problems, problem(program, "OTEL_EXPORTER_OTLP_CERTIFICATE", values, err))
		}
	}
	if t.TraceEndpoint != "" && !bool(t.TraceOff) && t.TraceProtocol != "http/protobuf" {
		problems = append(problems, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, and traces are sent by http/protobuf alone: it has to be that, "+
			"and OTEL_EXPORTER_OTLP_ENDPOINT where the collector takes it, which is mostly port 4318", string(t.TraceProtocol)))
	}
	return problems
}

func parseOTLPProtocol(v string) (OTLPProtocol, error) {
	if !slices.Contains([]string{"http/protobuf", "http/json", "grpc"}, v) {
		return "", errInvalid
	}
	return OTLPProtocol(v), nil
}

func parseSampler(v string) (Sampler, error) {
	v = strings.ToLower(strings.TrimSpace(v))
	if !slices.Contains(tracing.Samplers(), v) {
		return "", errInvalid
	}
	return Sampler(v), nil
}

func parseRatio(v string) (Ratio, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, errInvalid
	}
	return Ratio(n), nil
}

func parseSwitch(v string) (Switch, error) {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errInvalid
}

func parsePairs(v string) (Pairs, error) {
	_, err := readPairs(v)
	return Pairs(v), err
}

// readPairs reads name=value, separated by commas, both percent-encoded where they have
// to be.
func readPairs(v string) (map[string]string, error) {
	out := map[string]string{}
	for pair := range strings.SplitSeq(v, ",") {
		if isBlank(pair) {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name, err := url.PathUnescape(strings.TrimSpace(name))
		value, errValue := url.PathUnescape(strings.TrimSpace(value))
		if _, errLine := parseLine(name + value); errors.Join(err, errValue, errLine) != nil || !found || name == "" {
			return nil, errInvalid
		}
		out[name] = value
	}
	return out, nil
}

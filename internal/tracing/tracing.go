package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where traces go, and which.
type Config struct {
	Endpoint string            // base URL of a collector that takes OTLP over HTTP; empty: nothing is traced
	Headers  map[string]string // sent with every request to it
	CA       string            // file with its certificate authorities (PEM); default the system's

	Service  string            // service.name
	Version  string            // service.version
	Resource map[string]string // further attributes of the program; a service.name here comes after Service

	// Sampler is one of OTEL_TRACES_SAMPLER; default parentbased_always_on. Ratio is for
	// those that have one.
	Sampler string
	Ratio   float64
}

// Samplers are the values of OTEL_TRACES_SAMPLER.
func Samplers() []string { return slices.Sorted(maps.Keys(samplers(1))) }

func samplers(ratio float64) map[string]sdktrace.Sampler {
	share := sdktrace.TraceIDRatioBased(ratio)
	return map[string]sdktrace.Sampler{
		"always_on":                sdktrace.AlwaysSample(),
		"always_off":               sdktrace.NeverSample(),
		"traceidratio":             share,
		"parentbased_always_on":    sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"parentbased_always_off":   sdktrace.ParentBased(sdktrace.NeverSample()),
		"parentbased_traceidratio": sdktrace.ParentBased(share),
	}
}

// FlushTimeout is how long [Tracing.Close] waits at most for spans to be delivered.
const FlushTimeout = 2 * time.Second

// exportTimeout is how long one request to the collector may take.
const exportTimeout = 10 * time.Second

// Tracing is a program's traces. A nil one is off. It is safe for concurrent use.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// Start begins to send spans, where there is a collector to send them to, and asks it
// nothing yet. The log is also where OpenTelemetry's own complaints go, for the whole
// process.
func Start(cfg Config, log *slog.Logger) (*Tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil
	}
	client, err := newClient(cfg)
	if err != nil {
		return nil, err
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(&complaints{log: log})
	exporter, err := otlptrace.New(context.Background(), client)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	sampler := samplers(cfg.Ratio)[cfg.Sampler]
	if sampler == nil {
		sampler = samplers(1)["parentbased_always_on"]
	}
	return start(sdktrace.WithBatcher(exporter, sdktrace.WithExportTimeout(exportTimeout), sdktrace.WithBatchTimeout(time.Second)),
		sdktrace.WithSampler(sampler), sdktrace.WithResource(cfg.resource())), nil
}

func start(opts ...sdktrace.TracerProviderOption) *Tracing {
	provider := sdktrace.NewTracerProvider(opts...)
	return &Tracing{provider: provider, tracer: provider.Tracer("accountexport")}
}

// resource describes the program. It reads nothing of the machine beside the settings.
func (c Config) resource() *resource.Resource {
	of := map[string]string{"service.name": c.Service, "service.version": c.Version, "telemetry.sdk.language": "go",
		"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": otel.Version()}
	for key, value := range c.Resource {
		if key != "service.name" {
			of[key] = value
		}
	}
	attributes := make([]attribute.KeyValue, 0, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		if of[key] != "" {
			attributes = append(attributes, attribute.String(key, of[key]))
		}
	}
	return resource.NewSchemaless(attributes...)
}

// Close delivers what waits, until ctx ends or for [FlushTimeout], and drops the rest.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, FlushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(fmt.Errorf("not all spans were delivered before the end: %w", err))
	}
}

// On tells whether anything is traced.
func (t *Tracing) On() bool { return t != nil }

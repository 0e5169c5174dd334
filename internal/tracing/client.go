package tracing

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"accountexport/internal/secret"
)

// client sends spans to a collector: OTLP over HTTP, in protobuf. OpenTelemetry's own
// (otlptracehttp) imports gRPC, which would make the programs 8.8 MB larger; this one and
// the rest of OpenTelemetry make it 1.
//
// It tries nothing again: the next spans follow in a second, and what was not delivered is
// said.
type client struct {
	url     string
	shown   string // the endpoint, without what may be secret in it
	headers map[string]string
	http    *http.Client
}

func newClient(cfg Config) (*client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 2, ForceAttemptHTTP2: true}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_CERTIFICATE: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_CERTIFICATE: the file holds no certificate in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &client{
		url:     strings.TrimSuffix(cfg.Endpoint, "/") + "/v1/traces",
		shown:   secret.QuoteURL(cfg.Endpoint),
		headers: cfg.Headers,
		http: &http.Client{Transport: transport, Timeout: exportTimeout,
			// The headers may hold a token, which is for this collector alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Start implements [otlptrace.Client].
func (c *client) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// maxAnswer is how much is read of a collector's answer, so that the connection can be
// used again.
const maxAnswer = 64 << 10

// UploadTraces implements [otlptrace.Client].
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// On the wire it is the same as the request of the collector's service, whose package imports gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is not right") // never happens: the settings were judged before
	}
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := c.http.Do(req)
	if err != nil {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err // without the URL, which is shown as it may be shown
		}
		return fmt.Errorf("collector %s: %w", c.shown, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("collector %s: it answers %d", c.shown, answer.StatusCode)
	}
	return nil
}

package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// allowedHeaders are what pages may send: what the API reads, and what the SDKs of
// Supabase, HTTP clients and tracing put into every request, which it does not.
var allowedHeaders = []string{"Authorization", "If-Match", "If-None-Match", "If-Range", "Prefer", "Range", "X-Request-Id",
	"Accept", "Accept-Profile", "Apikey", "Cache-Control", "Content-Type", "Pragma", "X-Client-Info", "X-Requested-With", "X-Supabase-Api-Version",
	"Baggage", "Sentry-Trace", "Traceparent", "Tracestate"}

// exposedHeaders are those of answers that pages may read, beside the few that they
// always may.
var exposedHeaders = []string{"Accept-Ranges", "Allow", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range", "Date", "ETag",
	"Export-As-Of", "Export-Parked", "Export-Position", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "Vary",
	"WWW-Authenticate", "X-Request-Id"}

// withCORS lets pages of these origins read answers, and send the usual
// headers and more (Fetch standard, CORS). Tokens travel in a header that a page
// sets itself, never in cookies, so credentials are not allowed.
//
// A preflight request of an allowed origin is answered with all that is allowed,
// whatever it asks for: the browser compares, and blames the header or method that
// is not among it. The package would name no origin then, for which browsers
// blame the origin.
func withCORS(origins, more []string, next http.Handler) http.Handler {
	actual := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead},
		ExposedHeaders: exposedHeaders,
	})
	after := actual.Handler(next)
	allowed := strings.ToLower(strings.Join(slices.Concat(allowedHeaders, more), ", "))
	all := slices.Contains(origins, "*")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			after.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
		if actual.OriginAllowed(r) {
			origin := r.Header.Get("Origin")
			if all {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", allowed)
			h.Set("Access-Control-Max-Age", "600") // seconds
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

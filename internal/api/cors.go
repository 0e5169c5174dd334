package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// allowedHeaders are the request headers that pages may send: those that the API
// reads, and those that the SDKs of Supabase, HTTP clients and tracing add to every
// request.
var allowedHeaders = []string{"Authorization", "If-Match", "If-None-Match", "If-Range", "Prefer", "Range", "X-Request-Id",
	"Accept", "Accept-Profile", "Apikey", "Cache-Control", "Content-Type", "Pragma", "X-Client-Info", "X-Requested-With", "X-Supabase-Api-Version",
	"Baggage", "Sentry-Trace", "Traceparent", "Tracestate"}

// exposedHeaders are the response headers that pages may read, beside the
// CORS-safelisted ones.
var exposedHeaders = []string{"Accept-Ranges", "Allow", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range", "Date", "ETag",
	"Export-As-Of", "Export-Parked", "Export-Position", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After", "Vary",
	"WWW-Authenticate", "X-Request-Id"}

// withCORS lets pages of these origins read answers, and send allowedHeaders and more
// (Fetch standard, CORS). Tokens are sent in a header that the page sets itself,
// never in cookies, so credentials are not allowed.
//
// A preflight request from an allowed origin is answered with everything that is
// allowed, whatever it asks for. The browser compares the two and reports the header
// or method that is missing. The cors package would name no origin in that case, and
// browsers would report the origin instead.
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

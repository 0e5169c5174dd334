package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestAFileWithoutACertificateIsRefused with the other settings, by both programs, where traces
// are sent.
func TestAFileWithoutACertificateIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const said = "and it holds no certificate: it has to be the path of a readable file with PEM certificates"
	for endpoint, refused := range map[string]bool{"https://collector.example:4318": true, "": false} {
		environ := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_CERTIFICATE=" + file}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		_, projector := LoadProjector(flags, append(environ, "DATABASE_URL=postgres://localhost/a"))
		_, api := LoadAPI(flags, append(environ, "DATABASE_URL=postgres://localhost/a", "SUPABASE_URL=https://a.supabase.co"))
		for program, err := range map[string]error{"projector": projector, "api": api} {
			if got := err != nil && strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_CERTIFICATE") && strings.Contains(err.Error(), said); got != refused || !refused && err != nil {
				t.Errorf("%s, endpoint %q: %v", program, endpoint, err)
			}
		}
	}
}

package settings_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"accountexport/internal/settings"
)

// TestDurationsInLogsAreText: 1.5s and not 1500000000, in both formats.
func TestDurationsInLogsAreText(t *testing.T) {
	for _, format := range []settings.LogFormat{"json", "text"} {
		var out bytes.Buffer
		settings.Projector{LogFormat: format}.Logger(&out).Info("waits", "wait", 1500*time.Millisecond)
		if !strings.Contains(out.String(), "1.5s") || strings.Contains(out.String(), "1500000000") {
			t.Errorf("%s", &out)
		}
	}
}

func TestLogFormat(t *testing.T) {
	for _, test := range []struct{ format, want string }{
		{"", `{"time"`},
		{"json", `{"time"`},
		{"text", "time="},
	} {
		file, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		s := settings.Projector{LogFormat: settings.LogFormat(test.format), LogLevel: settings.LogLevel(slog.LevelWarn)}
		s.Logger(file).Info("not logged")
		s.Logger(file).Warn("logged")
		got, err := os.ReadFile(file.Name())
		if err != nil || !strings.HasPrefix(string(got), test.want) || strings.Contains(string(got), "not logged") {
			t.Errorf("LOG_FORMAT=%s: got %s, %v", test.format, got, err)
		}
		file.Close()
	}
}

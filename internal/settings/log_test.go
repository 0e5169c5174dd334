package settings_test

import (
	"bytes"
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

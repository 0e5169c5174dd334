package engine

import (
	"os"
	"path/filepath"
	"testing"

	"accountexport/projections"
	"accountexport/projections/internal/script"
)

// TestFoldScriptsByEngine runs the scripts of the fold through the engine. Every account is
// stored and loaded again between any two messages, and what is stored is what the fold
// alone gives.
func TestFoldScriptsByEngine(t *testing.T) {
	paths, err := filepath.Glob("../testdata/fold/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := script.Messages(string(text))
			if err != nil {
				t.Fatal(err)
			}
			var messages []projections.Message
			for _, m := range parsed {
				messages = append(messages, projections.Message{Position: m.Position, Time: m.Time, Message: m.Message})
			}
			w := newReferenceModel(t, messages)
			w.check(t, runToEnd(t, messages, Options{Batch: Bound{1, 1 << 20}, CacheBytes: 1}))
		})
	}
}

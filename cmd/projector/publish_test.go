package main

import (
	"context"
	"errors"
	"io"
	"testing"
)

// TestPublishEndsWhileNothingIsTyped: a signal ends the program also where it
// waits for its standard input.
func TestPublishEndsWhileNothingIsTyped(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	defer typed.Close()
	go func() {
		_, _ = typed.Write([]byte("{")) // returns once it was read, so readAll is reading
		interrupt()
	}()
	if _, err := readAll(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

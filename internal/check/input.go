package check

import (
	"context"
	"errors"
)

// ErrNothing means that an input holds no event.
var ErrNothing = errors.New("no event was found: want CloudEvents as JSON, a line each or one after the other")

// InputError is what is wrong with one input as a whole: nothing of it can be read, or
// nothing more of it. The next input can be checked all the same.
type InputError struct {
	Name string // empty where Err names it
	Err  error
}

func (e *InputError) Error() string {
	if e.Name == "" {
		return e.Err.Error()
	}
	return e.Name + ": " + e.Err.Error()
}

func (e *InputError) Unwrap() error { return e.Err }

// inputError is what is wrong with an input, unless reading it ended because ctx has.
func inputError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &InputError{name, err}
}

// errUTF16 is what is wrong with a file that PowerShell's > has written.
var errUTF16 = errors.New("it is UTF-16, as > of Windows PowerShell writes it, want UTF-8: " +
	"PowerShell 7 writes that, [IO.File]::WriteAllLines does in both, and `iconv -f UTF-16 -t UTF-8` makes it of what is there")

// isUTF16 tells by its first four bytes whether a text is UTF-16: by the byte order mark,
// or by the zero bytes beside the bracket it begins with, which no form of input has there.
func isUTF16(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	bracket := func(c byte) bool { return c == '{' || c == '[' }
	switch {
	case b[0] == 0xFF && b[1] == 0xFE, b[0] == 0xFE && b[1] == 0xFF:
		return true
	case bracket(b[0]):
		return b[1] == 0 && b[2] != 0 && b[3] == 0
	}
	return b[0] == 0 && bracket(b[1]) && b[2] == 0 && b[3] != 0
}

package settings

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// Logger returns a logger to w with the level and format of the settings.
func (s API) Logger(w io.Writer) *slog.Logger { return logger(w, s.LogLevel, s.LogFormat) }

// Logger returns a logger to w with the level and format of the settings.
func (s Projector) Logger(w io.Writer) *slog.Logger { return logger(w, s.LogLevel, s.LogFormat) }

func logger(w io.Writer, level LogLevel, format LogFormat) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(level), ReplaceAttr: durationsAsText}
	if format == "text" || format == "" && terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// durationsAsText makes JSON show 1.5s instead of 1500000000.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

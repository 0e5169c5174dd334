package settings

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// Logger logs to w as the settings say.
func (s API) Logger(w io.Writer) *slog.Logger { return logger(w, s.LogLevel, s.LogFormat) }

// Logger logs to w as the settings say.
func (s Projector) Logger(w io.Writer) *slog.Logger { return logger(w, s.LogLevel, s.LogFormat) }

func logger(w io.Writer, level LogLevel, format LogFormat) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(level), ReplaceAttr: durationsAsText}
	if format == "text" || format == "" && terminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// durationsAsText has JSON say 1.5s where it would say 1500000000.
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

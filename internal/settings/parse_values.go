package settings

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

func parseSecret(v string) (Secret, error) {
	if len(v) < 32 {
		return "", fmt.Errorf("it has %d bytes", len(v))
	}
	return Secret(v), nil
}

func parseLogFormat(v string) (LogFormat, error) {
	if v != "text" && v != "json" {
		return "", errInvalid
	}
	return LogFormat(v), nil
}

func parsePrivacy(v string) (Privacy, error) {
	if v != "masked" && v != "full" {
		return "", errInvalid
	}
	return Privacy(v), nil
}

func parseLevel(v string) (LogLevel, error) {
	switch v {
	case "debug":
		return LogLevel(slog.LevelDebug), nil
	case "info":
		return LogLevel(slog.LevelInfo), nil
	case "warn":
		return LogLevel(slog.LevelWarn), nil
	case "error":
		return LogLevel(slog.LevelError), nil
	}
	return 0, errInvalid
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, errInvalid
	}
	return d, nil
}

func parseTakeover(v string) (Takeover, error) {
	d, err := parseDuration(v)
	if err != nil || d < time.Second || d > 5*time.Minute {
		return 0, errInvalid
	}
	return Takeover(d), nil
}

// parseRate parses "5", whose burst is the rate rounded up, or "0.5:10" with a burst.
func parseRate(v string) (Rate, error) {
	perSecond, burst, both := strings.Cut(v, ":")
	r, err := strconv.ParseFloat(perSecond, 64)
	if err != nil || !(r >= 0.001 && r <= 1e6) {
		return Rate{}, errInvalid
	}
	n := int(math.Ceil(r))
	if both {
		if n, err = strconv.Atoi(burst); err != nil || n < 1 || n > 1e6 {
			return Rate{}, errInvalid
		}
	}
	return Rate{r, n}, nil
}

func parseCount[T ~int](v string, low, high int) (T, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		return 0, errInvalid
	}
	return T(n), nil
}

// parseBytes parses a size of at least 1 MiB, with a unit such as MiB or MB, or in
// bytes.
func parseBytes(v string) (Bytes, error) {
	v = strings.ToLower(v)
	digits := strings.TrimRight(v, "bkmgi ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, errInvalid
	}
	var unit int64
	switch strings.TrimSpace(v[len(digits):]) {
	case "", "b":
		unit = 1
	case "kb":
		unit = 1e3
	case "mb":
		unit = 1e6
	case "gb":
		unit = 1e9
	case "kib":
		unit = 1 << 10
	case "mib":
		unit = 1 << 20
	case "gib":
		unit = 1 << 30
	default:
		return 0, errInvalid
	}
	if n > math.MaxInt64/unit || n*unit < 1<<20 {
		return 0, errInvalid
	}
	return Bytes(n * unit), nil
}

package cli

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Version describes this build: the name and version of the program, the revision that
// it was built from, the given lines, and the compiler.
func Version(program string, more ...string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(program, info, more)
}

// Number is the version of this build alone.
func Number() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func describe(program string, info *debug.BuildInfo, more []string) string {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	revision := or(set["vcs.revision"], "unknown")
	if set["vcs.time"] != "" {
		revision += " of " + set["vcs.time"]
	}
	if set["vcs.modified"] == "true" {
		revision += ", modified"
	}
	lines := []string{program + " " + or(info.Main.Version, "(devel)"), "revision " + revision}
	lines = append(lines, more...)
	lines = append(lines, strings.TrimSpace(fmt.Sprintf("built with %s %s", or(info.GoVersion, "an unknown compiler"), platform(set))))
	return strings.Join(lines, "\n") + "\n"
}

func platform(set map[string]string) string {
	if set["GOOS"] == "" {
		return ""
	}
	return "for " + set["GOOS"] + "/" + set["GOARCH"]
}

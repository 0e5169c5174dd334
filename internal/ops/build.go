package ops

import (
	"cmp"
	"path"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// build is a metric whose labels identify the program and its build.
func build() prometheus.Collector {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "accountexport_build_info",
		Help: "Always 1; the labels say which build of which program this is.",
		ConstLabels: prometheus.Labels{"program": path.Base(info.Path), "version": cmp.Or(info.Main.Version, "(devel)"),
			"revision": cmp.Or(revision, "unknown"), "goversion": cmp.Or(info.GoVersion, "unknown")}}, func() float64 { return 1 })
}

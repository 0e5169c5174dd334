package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/readmodel/export"
)

// spoolCollector exports how much room there is for documents that are being sent.
type spoolCollector struct {
	exports interface {
		Usage() (medium, large export.Usage)
	}
}

var (
	spoolBytes = prometheus.NewDesc("export_spool_bytes",
		"Room for documents that are being sent: held by them, or free. Of medium (16 to 512 KiB) and of large ones, which have none of each other's.",
		[]string{"documents", "where", "state"}, nil)
	spoolWaiting = prometheus.NewDesc("export_spool_waiting_reads",
		"Reads of documents that wait for room, up to 5 seconds.", []string{"documents"}, nil)
)

// Describe implements [prometheus.Collector].
func (spoolCollector) Describe(out chan<- *prometheus.Desc) {
	out <- spoolBytes
	out <- spoolWaiting
}

// Collect implements [prometheus.Collector].
func (c spoolCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	medium, large := c.exports.Usage()
	for documents, use := range map[string]export.Usage{"medium": medium, "large": large} {
		gauge(spoolBytes, use.Memory, documents, "memory", "held")
		gauge(spoolBytes, use.MemoryLimit-use.Memory, documents, "memory", "free")
		gauge(spoolBytes, use.Files, documents, "files", "held")
		gauge(spoolBytes, use.FilesLimit-use.Files, documents, "files", "free")
		gauge(spoolWaiting, int64(use.Waiting), documents)
	}
}

// Command dashboard prints the Grafana dashboard of the programs as JSON. `make
// dashboard` writes it to deploy/grafana/dashboards/accountexport.json, which Grafana is
// provisioned with; TestDashboardIsUpToDate holds that file against what is printed.
//
// It is a module of its own, so that the programs depend on nothing of Grafana.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// write prints the dashboard once it is known that Grafana's schema accepts it. The same
// program prints the same bytes.
func write(out io.Writer) error {
	built, err := build()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(built); err != nil {
		return err
	}
	if err := check(text.Bytes()); err != nil {
		return fmt.Errorf("the dashboard is not what Grafana's schema has: %w", err)
	}
	_, err = out.Write(text.Bytes())
	return err
}

// build makes the dashboard: the first screen, and then a row for each part.
func build() (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder("Account export").
		Uid("accountexport").
		Description("Is it all right? The first screen says so, over all instances. Below it, a row for each part. Every panel says what good looks like, and which section of doc/runbook.md is about it.").
		Tags([]string{"accountexport"}).
		Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Time("now-1h", "now").
		Refresh("10s").
		Timezone("browser").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(choice("job", "Job", "label_values(accountexport_build_info, job)", "The programs' jobs in Prometheus: all of one deployment.")).
		WithVariable(choice("instance", "Instance", `label_values(accountexport_build_info{job=~"$job"}, instance)`, "For the rows below the first screen, which always shows all instances."))
	g := grid{to: b}
	g.panels(overview()...)
	for _, r := range []row{streamAndProjector(), partitions(), parked(), generations(), erasures(), api(), objective(), pools(), relay(), process()} {
		g.row(r)
	}
	return b.Build()
}

// choice is a variable whose values Prometheus knows, all of them unless some are chosen.
func choice(name, label, query, help string) cog.Builder[dashboard.VariableModel] {
	all := dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}}
	return dashboard.NewQueryVariableBuilder(name).
		Label(label).Description(help).
		Datasource(datasource()).
		Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortNaturalAsc).
		Multi(true).IncludeAll(true).AllValue(".*").
		Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}}, Value: all})
}

// datasource is the Prometheus that is chosen at the top of the dashboard.
func datasource() common.DataSourceRef {
	kind, chosen := "prometheus", "${datasource}"
	return common.DataSourceRef{Type: &kind, Uid: &chosen}
}

// check reads the dashboard back, with no field that the schema does not know and none
// missing that it requires.
func check(text []byte) error {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterPanelcfgVariant(heatmap.VariantConfig())
	runtime.RegisterPanelcfgVariant(table.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	var read dashboard.Dashboard
	// An empty list of errors comes as an error that is not nil.
	if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	return read.Validate()
}

package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// figure is one number in its colour, as it is now.
func figure(p panel) cog.Builder[dashboard.Panel] {
	b := stat.NewPanelBuilder().Id(p.id).Title(p.title).Description(p.about()).GridPos(p.at).Datasource(datasource()).
		Unit(p.unit).Thresholds(colours(p.good)).ColorScheme(dashboard.NewFieldColorBuilder().Mode("thresholds")).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
		ColorMode(common.BigValueColorModeBackgroundSolid).GraphMode(common.BigValueGraphModeNone).
		TextMode(common.BigValueTextModeValue).JustifyMode(common.BigValueJustifyModeCenter).Orientation(common.VizOrientationAuto).
		NoValue(p.nothing.text).Mappings(mapping(p.words, p.nothing))
	for i, q := range p.queries {
		b.WithTarget(target(i, q).Instant())
	}
	return b
}

// lines is a graph over the time.
func lines(p panel) cog.Builder[dashboard.Panel] {
	b := timeseries.NewPanelBuilder().Id(p.id).Title(p.title).Description(p.about()).GridPos(p.at).Datasource(datasource()).
		Unit(p.unit).Min(0).LineWidth(1).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.good != nil {
		b.Thresholds(colours(p.good)).ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	if p.stacked {
		b.FillOpacity(40).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal).Group("A"))
	}
	if p.nothing.text != "" {
		b.NoValue(p.nothing.text)
	}
	for i, q := range p.queries {
		b.WithTarget(target(i, q).Range())
	}
	return b
}

// heat shows how a histogram's buckets fill, over the time.
func heat(p panel) cog.Builder[dashboard.Panel] {
	b := heatmap.NewPanelBuilder().Id(p.id).Title(p.title).Description(p.about()).GridPos(p.at).Datasource(datasource()).
		Calculate(false).YAxis(heatmap.NewYAxisConfigBuilder().Unit(p.unit)).
		Color(heatmap.NewHeatmapColorOptionsBuilder().Mode(heatmap.HeatmapColorModeScheme).Scheme("Oranges").Fill("dark-orange").Scale(heatmap.HeatmapColorScaleExponential).Exponent(0.5).Steps(64))
	for i, q := range p.queries {
		b.WithTarget(target(i, q).Range().Format(prometheus.PromQueryFormatHeatmap))
	}
	return b
}

// list is a table of the labels of what is there now.
func list(p panel) cog.Builder[dashboard.Panel] {
	b := table.NewPanelBuilder().Id(p.id).Title(p.title).Description(p.about()).GridPos(p.at).Datasource(datasource()).
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{})).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": map[string]bool{"Time": true, "Value": true}}})
	if p.nothing.text != "" {
		b.NoValue(p.nothing.text)
	}
	for i, q := range p.queries {
		b.WithTarget(target(i, q).Instant().Format(prometheus.PromQueryFormatTable))
	}
	return b
}

func target(i int, q query) *prometheus.DataqueryBuilder {
	b := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(datasource()).Expr(q.text()).EditorMode(prometheus.QueryEditorModeCode)
	if q.legend != "" {
		b.LegendFormat(q.legend)
	}
	return b
}

// colours are the thresholds of a panel. The first step has no value: it is from minus
// infinity on.
func colours(steps []dashboard.Threshold) cog.Builder[dashboard.ThresholdsConfig] {
	if steps == nil {
		steps = from("green")
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

// from is the first step of some thresholds, and the others.
func from(colour string, others ...dashboard.Threshold) []dashboard.Threshold {
	return append([]dashboard.Threshold{{Color: colour}}, others...)
}

func at(value float64, colour string) dashboard.Threshold {
	return dashboard.Threshold{Value: &value, Color: colour}
}

// mapping names figures. That there is none needs a colour of its own: Grafana would give
// it that of the first step, which often is green.
func mapping(words map[string]word, nothing word) []dashboard.ValueMapping {
	options := map[string]dashboard.ValueMappingResult{}
	for value, w := range words {
		options[value] = w.result()
	}
	return []dashboard.ValueMapping{
		{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: options}},
		{SpecialValueMap: &dashboard.SpecialValueMap{Type: dashboard.MappingTypeSpecialValue,
			Options: dashboard.DashboardSpecialValueMapOptions{Match: dashboard.SpecialValueMatchNullAndNan, Result: nothing.result()}}},
	}
}

func (w word) result() dashboard.ValueMappingResult {
	return dashboard.ValueMappingResult{Text: &w.text, Color: &w.colour}
}

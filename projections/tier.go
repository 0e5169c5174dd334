package projections

import (
	"strconv"

	"accountexport/events"
)

// TierDefinition is the definition of a quota tier, which accounts share, as it is stored.
type TierDefinition struct {
	ID        string
	Partition int
	Position  uint64 // of the message that defined it
	Body      []byte // JSON ready to send
}

// DefineTier folds a message of a tier's subject. The definition is nil unless the outcome
// is Applied.
func DefineTier(m *Decoded) (*TierDefinition, Outcome) {
	if m.Invalid != nil {
		return nil, Parked
	}
	d, ok := m.Event.Data.(*events.QuotaTierDefined)
	if !ok {
		return nil, Ignored
	}
	return &TierDefinition{ID: d.ID, Partition: m.Partition, Position: m.Position, Body: appendTier(nil, d)}, Applied
}

// appendTier appends a quota tier as the export shows it.
func appendTier(b []byte, t *events.QuotaTierDefined) []byte {
	b = appendString(append(b, `{"id":`...), t.ID)
	b = appendString(append(b, `,"display_name":`...), t.DisplayName)
	b = strconv.AppendInt(append(b, `,"max_concurrent_sandboxes":`...), t.MaxConcurrentSandboxes, 10)
	b = strconv.AppendInt(append(b, `,"daily_sandbox_creates":`...), t.DailySandboxCreates, 10)
	b = appendDecimal(append(b, `,"daily_gb_hours":`...), t.DailyGBHours)
	return append(b, '}')
}

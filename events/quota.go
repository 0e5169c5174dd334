package events

func readQuotaTierDefined(f *fields) *QuotaTierDefined {
	return &QuotaTierDefined{ID: f.tierID("id"), DisplayName: f.text("display_name"),
		MaxConcurrentSandboxes: f.integer("max_concurrent_sandboxes"), DailySandboxCreates: f.integer("daily_sandbox_creates"),
		DailyGBHours: f.decimal("daily_gb_hours")}
}

// NewQuotaTierDefined makes the event that defines or replaces a shared tier.
func NewQuotaTierDefined(m Meta, d QuotaTierDefined) (Message, error) {
	return newMessage(m, TierSubject(d.ID), d.ID, TypeQuotaTierDefined, func(w *writer) {
		w.text("id", d.ID)
		w.text("display_name", d.DisplayName)
		w.integer("max_concurrent_sandboxes", d.MaxConcurrentSandboxes)
		w.integer("daily_sandbox_creates", d.DailySandboxCreates)
		w.decimal("daily_gb_hours", d.DailyGBHours)
	})
}

func readQuotaUsage(f *fields) QuotaUsage {
	return QuotaUsage{TeamID: f.uuid("team_id"), UsageDate: f.date("usage_date"), SandboxCreates: f.integer("sandbox_creates"),
		GBHours: f.decimal("gb_hours")}
}

func (d *QuotaUsage) write(w *writer) {
	w.uuid("team_id", d.TeamID)
	w.text("usage_date", string(d.UsageDate))
	w.integer("sandbox_creates", d.SandboxCreates)
	w.decimal("gb_hours", d.GBHours)
}

// NewQuotaUsageRecorded makes the event that sets a team's usage of a day.
func NewQuotaUsageRecorded(m Meta, account UUID, d QuotaUsageRecorded) (Message, error) {
	return accountMessage(m, account, TypeQuotaUsageRecorded, d.write)
}

// NewQuotaUsageIncremented makes the event that adds to a team's usage of a day.
func NewQuotaUsageIncremented(m Meta, account UUID, d QuotaUsageIncremented) (Message, error) {
	return accountMessage(m, account, TypeQuotaUsageIncremented, d.write)
}

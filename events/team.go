package events

func readTeamCreated(f *fields) *TeamCreated {
	return &TeamCreated{ID: f.uuid("id"), Name: f.text("name"), Slug: f.text("slug"), QuotaTierID: f.text("quota_tier_id"),
		OwnerUserID: f.optionalUUID("owner_user_id")}
}

// NewTeamCreated makes the event that creates the account's team.
func NewTeamCreated(m Meta, account UUID, d TeamCreated) (Message, error) {
	return accountMessage(m, account, TypeTeamCreated, func(w *writer) {
		w.uuid("id", d.ID)
		w.text("name", d.Name)
		w.text("slug", d.Slug)
		w.text("quota_tier_id", d.QuotaTierID)
		if d.OwnerUserID != nil {
			w.uuid("owner_user_id", *d.OwnerUserID)
		}
	})
}

// NewTeamUpdated makes the event that renames the team.
func NewTeamUpdated(m Meta, account UUID, d TeamUpdated) (Message, error) {
	return accountMessage(m, account, TypeTeamUpdated, func(w *writer) {
		w.uuid("id", d.ID)
		write(w, "name", d.Name, w.text)
		write(w, "slug", d.Slug, w.text)
	})
}

// NewTeamOwnerChanged makes the event that gives the team another owner.
func NewTeamOwnerChanged(m Meta, account UUID, d TeamOwnerChanged) (Message, error) {
	return accountMessage(m, account, TypeTeamOwnerChanged, func(w *writer) {
		w.uuid("id", d.ID)
		w.uuid("owner_user_id", d.OwnerUserID)
	})
}

// NewTeamQuotaTierChanged makes the event that moves the team to another tier.
func NewTeamQuotaTierChanged(m Meta, account UUID, d TeamQuotaTierChanged) (Message, error) {
	return accountMessage(m, account, TypeTeamQuotaTierChanged, func(w *writer) {
		w.uuid("id", d.ID)
		w.text("quota_tier_id", d.QuotaTierID)
	})
}

// NewTeamSoftDeleted makes the event that deletes the team softly.
func NewTeamSoftDeleted(m Meta, account UUID, d TeamSoftDeleted) (Message, error) {
	return accountMessage(m, account, TypeTeamSoftDeleted, func(w *writer) { w.uuid("id", d.ID) })
}

// NewTeamRestored makes the event that undoes the team's soft deletion.
func NewTeamRestored(m Meta, account UUID, d TeamRestored) (Message, error) {
	return accountMessage(m, account, TypeTeamRestored, func(w *writer) { w.uuid("id", d.ID) })
}

package events

func readAPIKeyCreated(f *fields) *APIKeyCreated {
	return &APIKeyCreated{ID: f.uuid("id"), TeamID: f.uuid("team_id"), KeyPrefix: f.text("key_prefix"), Name: f.text("name"),
		Scope: f.text("scope"), ExpiresAt: f.optionalTime("expires_at"), RotationParentKeyID: f.optionalUUID("rotation_parent_key_id")}
}

// NewAPIKeyCreated makes the event that creates an API key.
func NewAPIKeyCreated(m Meta, account UUID, d APIKeyCreated) (Message, error) {
	return accountMessage(m, account, TypeAPIKeyCreated, func(w *writer) {
		w.uuid("id", d.ID)
		w.uuid("team_id", d.TeamID)
		w.text("key_prefix", d.KeyPrefix)
		w.text("name", d.Name)
		w.text("scope", d.Scope)
		if d.ExpiresAt != nil {
			w.time("expires_at", *d.ExpiresAt)
		}
		if d.RotationParentKeyID != nil {
			w.uuid("rotation_parent_key_id", *d.RotationParentKeyID)
		}
	})
}

func readAPIKeyUpdated(f *fields) *APIKeyUpdated {
	return &APIKeyUpdated{ID: f.uuid("id"), Name: f.patchText("name", false), Scope: f.patchText("scope", false),
		ExpiresAt: patch(f, "expires_at", true, f.readTime), IsActive: patch(f, "is_active", false, f.readBool)}
}

// NewAPIKeyUpdated makes the event that changes parts of an API key.
func NewAPIKeyUpdated(m Meta, account UUID, d APIKeyUpdated) (Message, error) {
	return accountMessage(m, account, TypeAPIKeyUpdated, func(w *writer) {
		w.uuid("id", d.ID)
		write(w, "name", d.Name, w.text)
		write(w, "scope", d.Scope, w.text)
		write(w, "expires_at", d.ExpiresAt, w.time)
		write(w, "is_active", d.IsActive, w.boolean)
	})
}

// NewAPIKeyUsed makes the event that notes an API key's use.
func NewAPIKeyUsed(m Meta, account UUID, d APIKeyUsed) (Message, error) {
	return accountMessage(m, account, TypeAPIKeyUsed, func(w *writer) { w.uuid("id", d.ID) })
}

// NewAPIKeyRevoked makes the event that revokes an API key.
func NewAPIKeyRevoked(m Meta, account UUID, d APIKeyRevoked) (Message, error) {
	return accountMessage(m, account, TypeAPIKeyRevoked, func(w *writer) { w.uuid("id", d.ID) })
}

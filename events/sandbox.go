package events

func readSandboxCreated(f *fields) *SandboxCreated {
	return &SandboxCreated{ID: f.textOf("id", MaxID), Template: f.text("template"), Status: f.optionalText("status"),
		Metadata: f.optionalObject("metadata")}
}

// NewSandboxCreated makes the event that creates a sandbox.
func NewSandboxCreated(m Meta, account UUID, d SandboxCreated) (Message, error) {
	return accountMessage(m, account, TypeSandboxCreated, func(w *writer) {
		w.text("id", d.ID)
		w.text("template", d.Template)
		w.optionalText("status", d.Status)
		if d.Metadata != nil {
			w.json("metadata", d.Metadata)
		}
	})
}

// NewSandboxStarted makes the event that starts a sandbox.
func NewSandboxStarted(m Meta, account UUID, d SandboxStarted) (Message, error) {
	return accountMessage(m, account, TypeSandboxStarted, func(w *writer) { w.text("id", d.ID) })
}

// NewSandboxStatusChanged makes the event that gives a sandbox another status.
func NewSandboxStatusChanged(m Meta, account UUID, d SandboxStatusChanged) (Message, error) {
	return accountMessage(m, account, TypeSandboxStatusChanged, func(w *writer) {
		w.text("id", d.ID)
		w.text("status", d.Status)
	})
}

// NewSandboxMetadataUpdated makes the event that replaces a sandbox's metadata.
func NewSandboxMetadataUpdated(m Meta, account UUID, d SandboxMetadataUpdated) (Message, error) {
	return accountMessage(m, account, TypeSandboxMetadataUpdated, func(w *writer) {
		w.text("id", d.ID)
		w.json("metadata", d.Metadata)
	})
}

// NewSandboxDestroyed makes the event that ends a sandbox.
func NewSandboxDestroyed(m Meta, account UUID, d SandboxDestroyed) (Message, error) {
	return accountMessage(m, account, TypeSandboxDestroyed, func(w *writer) { w.text("id", d.ID) })
}

package events

func readUserRegistered(f *fields) *UserRegistered {
	return &UserRegistered{Email: f.text("email"), Tier: f.text("tier"), QuotaTierID: f.text("quota_tier_id"),
		Name: f.optionalText("name"), DisplayName: f.optionalText("display_name"), AvatarURL: f.optionalText("avatar_url"),
		IsOperator: f.optionalBool("is_operator")}
}

// NewUserRegistered makes the event that registers the account's user.
func NewUserRegistered(m Meta, account UUID, d UserRegistered) (Message, error) {
	return accountMessage(m, account, TypeUserRegistered, func(w *writer) {
		w.text("email", d.Email)
		w.text("tier", d.Tier)
		w.text("quota_tier_id", d.QuotaTierID)
		w.optionalText("name", d.Name)
		w.optionalText("display_name", d.DisplayName)
		w.optionalText("avatar_url", d.AvatarURL)
		w.boolean("is_operator", d.IsOperator)
	})
}

func readUserProfileUpdated(f *fields) *UserProfileUpdated {
	return &UserProfileUpdated{Name: f.patchText("name", true), DisplayName: f.patchText("display_name", true),
		AvatarURL: f.patchText("avatar_url", true)}
}

// NewUserProfileUpdated makes the event that changes or clears parts of the
// user's profile.
func NewUserProfileUpdated(m Meta, account UUID, d UserProfileUpdated) (Message, error) {
	return accountMessage(m, account, TypeUserProfileUpdated, func(w *writer) {
		write(w, "name", d.Name, w.text)
		write(w, "display_name", d.DisplayName, w.text)
		write(w, "avatar_url", d.AvatarURL, w.text)
	})
}

// NewUserEmailChanged makes the event that sets an e-mail address, not yet
// verified.
func NewUserEmailChanged(m Meta, account UUID, d UserEmailChanged) (Message, error) {
	return accountMessage(m, account, TypeUserEmailChanged, func(w *writer) { w.text("email", d.Email) })
}

// NewUserEmailVerified makes the event that verifies the e-mail address.
func NewUserEmailVerified(m Meta, account UUID) (Message, error) {
	return accountMessage(m, account, TypeUserEmailVerified, nil)
}

// NewUserTierChanged makes the event that moves the user to another tier.
func NewUserTierChanged(m Meta, account UUID, d UserTierChanged) (Message, error) {
	return accountMessage(m, account, TypeUserTierChanged, func(w *writer) {
		w.text("tier", d.Tier)
		w.text("quota_tier_id", d.QuotaTierID)
	})
}

// NewUserOperatorChanged makes the event that grants or takes operator rights.
func NewUserOperatorChanged(m Meta, account UUID, d UserOperatorChanged) (Message, error) {
	return accountMessage(m, account, TypeUserOperatorChanged, func(w *writer) { w.boolean("is_operator", d.IsOperator) })
}

// NewUserAbuseFlagsChanged makes the event that sets, or with a nil value
// removes, abuse flags.
func NewUserAbuseFlagsChanged(m Meta, account UUID, d UserAbuseFlagsChanged) (Message, error) {
	return accountMessage(m, account, TypeUserAbuseFlagsChanged, func(w *writer) {
		w.literal("flags", "{")
		for i, f := range d.Flags {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.quote(f.Name)
			w.b = append(w.b, ':')
			if f.Value == nil {
				w.b = append(w.b, "null"...)
				continue
			}
			w.value("data.flags", f.Value)
		}
		w.b = append(w.b, '}')
	})
}

// NewUserDeletionScheduled makes the event that schedules the user's deletion.
func NewUserDeletionScheduled(m Meta, account UUID, d UserDeletionScheduled) (Message, error) {
	return accountMessage(m, account, TypeUserDeletionScheduled, func(w *writer) {
		w.time("delete_scheduled_at", d.DeleteScheduledAt)
	})
}

// NewUserDeletionCancelled makes the event that cancels a scheduled deletion.
func NewUserDeletionCancelled(m Meta, account UUID) (Message, error) {
	return accountMessage(m, account, TypeUserDeletionCancelled, nil)
}

// NewUserSoftDeleted makes the event that deletes the user softly.
func NewUserSoftDeleted(m Meta, account UUID) (Message, error) {
	return accountMessage(m, account, TypeUserSoftDeleted, nil)
}

// NewUserRestored makes the event that undoes a soft deletion.
func NewUserRestored(m Meta, account UUID) (Message, error) {
	return accountMessage(m, account, TypeUserRestored, nil)
}

// NewAccountErased makes the event that removes everything of the account.
func NewAccountErased(m Meta, account UUID) (Message, error) {
	return accountMessage(m, account, TypeAccountErased, nil)
}

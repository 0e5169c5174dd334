package events_test

import "accountexport/events"

func (g generator) user(typ string, m events.Meta, account events.UUID) (events.Payload, made) {
	switch typ {
	case events.TypeUserRegistered:
		p := events.UserRegistered{Email: g.plain(), Tier: g.plain(), QuotaTierID: g.plain(), Name: maybe(g, g.text(0, 1024)),
			DisplayName: maybe(g, g.text(0, 1024)), AvatarURL: maybe(g, g.text(0, 1024)), IsOperator: g.IntN(2) == 0}
		return &p, result(events.NewUserRegistered(m, account, p))
	case events.TypeUserProfileUpdated:
		p := events.UserProfileUpdated{Name: change(g, true, g.text(0, 1024)), DisplayName: change(g, true, g.text(0, 1024)),
			AvatarURL: change(g, true, g.text(0, 1024))}
		return &p, result(events.NewUserProfileUpdated(m, account, p))
	case events.TypeUserEmailChanged:
		p := events.UserEmailChanged{Email: g.plain()}
		return &p, result(events.NewUserEmailChanged(m, account, p))
	case events.TypeUserEmailVerified:
		return &events.UserEmailVerified{}, result(events.NewUserEmailVerified(m, account))
	case events.TypeUserTierChanged:
		p := events.UserTierChanged{Tier: g.plain(), QuotaTierID: g.plain()}
		return &p, result(events.NewUserTierChanged(m, account, p))
	case events.TypeUserOperatorChanged:
		p := events.UserOperatorChanged{IsOperator: g.IntN(2) == 0}
		return &p, result(events.NewUserOperatorChanged(m, account, p))
	case events.TypeUserAbuseFlagsChanged:
		p := events.UserAbuseFlagsChanged{Flags: g.flags()}
		return &p, result(events.NewUserAbuseFlagsChanged(m, account, p))
	case events.TypeUserDeletionScheduled:
		p := events.UserDeletionScheduled{DeleteScheduledAt: g.time()}
		return &p, result(events.NewUserDeletionScheduled(m, account, p))
	case events.TypeUserDeletionCancelled:
		return &events.UserDeletionCancelled{}, result(events.NewUserDeletionCancelled(m, account))
	case events.TypeUserSoftDeleted:
		return &events.UserSoftDeleted{}, result(events.NewUserSoftDeleted(m, account))
	case events.TypeUserRestored:
		return &events.UserRestored{}, result(events.NewUserRestored(m, account))
	case events.TypeAccountErased:
		return &events.AccountErased{}, result(events.NewAccountErased(m, account))
	}
	return nil, made{}
}

func (g generator) team(typ string, m events.Meta, account events.UUID) (events.Payload, made) {
	usage := events.QuotaUsage{TeamID: g.uuid(), UsageDate: g.date(), SandboxCreates: g.integer(), GBHours: g.decimal()}
	switch typ {
	case events.TypeTeamCreated:
		p := events.TeamCreated{ID: g.uuid(), Name: g.plain(), Slug: g.plain(), QuotaTierID: g.plain(), OwnerUserID: maybe(g, g.uuid())}
		return &p, result(events.NewTeamCreated(m, account, p))
	case events.TypeTeamUpdated:
		p := events.TeamUpdated{ID: g.uuid(), Name: change(g, false, g.plain()), Slug: change(g, false, g.plain())}
		return &p, result(events.NewTeamUpdated(m, account, p))
	case events.TypeTeamOwnerChanged:
		p := events.TeamOwnerChanged{ID: g.uuid(), OwnerUserID: g.uuid()}
		return &p, result(events.NewTeamOwnerChanged(m, account, p))
	case events.TypeTeamQuotaTierChanged:
		p := events.TeamQuotaTierChanged{ID: g.uuid(), QuotaTierID: g.plain()}
		return &p, result(events.NewTeamQuotaTierChanged(m, account, p))
	case events.TypeTeamSoftDeleted:
		p := events.TeamSoftDeleted{ID: g.uuid()}
		return &p, result(events.NewTeamSoftDeleted(m, account, p))
	case events.TypeTeamRestored:
		p := events.TeamRestored{ID: g.uuid()}
		return &p, result(events.NewTeamRestored(m, account, p))
	case events.TypeQuotaTierDefined:
		p := events.QuotaTierDefined{ID: g.tierID(), DisplayName: g.plain(), MaxConcurrentSandboxes: g.integer(),
			DailySandboxCreates: g.integer(), DailyGBHours: g.decimal()}
		return &p, result(events.NewQuotaTierDefined(m, p))
	case events.TypeQuotaUsageRecorded:
		p := events.QuotaUsageRecorded{QuotaUsage: usage}
		return &p, result(events.NewQuotaUsageRecorded(m, account, p))
	case events.TypeQuotaUsageIncremented:
		p := events.QuotaUsageIncremented{QuotaUsage: usage}
		return &p, result(events.NewQuotaUsageIncremented(m, account, p))
	}
	return nil, made{}
}

func (g generator) resource(typ string, m events.Meta, account events.UUID) (events.Payload, made) {
	switch typ {
	case events.TypeAPIKeyCreated:
		p := events.APIKeyCreated{ID: g.uuid(), TeamID: g.uuid(), KeyPrefix: g.plain(), Name: g.plain(), Scope: g.plain(),
			ExpiresAt: maybe(g, g.time()), RotationParentKeyID: maybe(g, g.uuid())}
		return &p, result(events.NewAPIKeyCreated(m, account, p))
	case events.TypeAPIKeyUpdated:
		p := events.APIKeyUpdated{ID: g.uuid(), Name: change(g, false, g.plain()), Scope: change(g, false, g.plain()),
			ExpiresAt: change(g, true, g.time()), IsActive: change(g, false, g.IntN(2) == 0)}
		return &p, result(events.NewAPIKeyUpdated(m, account, p))
	case events.TypeAPIKeyUsed:
		p := events.APIKeyUsed{ID: g.uuid()}
		return &p, result(events.NewAPIKeyUsed(m, account, p))
	case events.TypeAPIKeyRevoked:
		p := events.APIKeyRevoked{ID: g.uuid()}
		return &p, result(events.NewAPIKeyRevoked(m, account, p))
	case events.TypeSandboxCreated:
		p := events.SandboxCreated{ID: g.text(1, events.MaxID), Template: g.plain(), Status: maybe(g, g.text(0, 1024))}
		if g.IntN(2) == 0 {
			p.Metadata = g.object(0)
		}
		return &p, result(events.NewSandboxCreated(m, account, p))
	case events.TypeSandboxStarted:
		p := events.SandboxStarted{ID: g.text(1, events.MaxID)}
		return &p, result(events.NewSandboxStarted(m, account, p))
	case events.TypeSandboxStatusChanged:
		p := events.SandboxStatusChanged{ID: g.text(1, events.MaxID), Status: g.plain()}
		return &p, result(events.NewSandboxStatusChanged(m, account, p))
	case events.TypeSandboxMetadataUpdated:
		p := events.SandboxMetadataUpdated{ID: g.text(1, events.MaxID), Metadata: g.object(0)}
		return &p, result(events.NewSandboxMetadataUpdated(m, account, p))
	case events.TypeSandboxDestroyed:
		p := events.SandboxDestroyed{ID: g.text(1, events.MaxID)}
		return &p, result(events.NewSandboxDestroyed(m, account, p))
	}
	return nil, made{}
}

package projections

import "accountexport/events"

// target is the entity that an event creates or changes: its section, nil for the
// user and the team, and its key. Nothing waits for a usage day, whose key therefore
// has no kind. The erasure of an account has no target, nor has a quota tier.
func (a *Account) target(data events.Payload) (*section, waitKey) {
	switch d := data.(type) {
	case *events.UserRegistered, *events.UserProfileUpdated, *events.UserEmailChanged, *events.UserEmailVerified,
		*events.UserTierChanged, *events.UserOperatorChanged, *events.UserAbuseFlagsChanged, *events.UserDeletionScheduled,
		*events.UserDeletionCancelled, *events.UserSoftDeleted, *events.UserRestored:
		return nil, userKey

	case *events.TeamCreated:
		return nil, teamKey(d.ID)
	case *events.TeamUpdated:
		return nil, teamKey(d.ID)
	case *events.TeamOwnerChanged:
		return nil, teamKey(d.ID)
	case *events.TeamQuotaTierChanged:
		return nil, teamKey(d.ID)
	case *events.TeamSoftDeleted:
		return nil, teamKey(d.ID)
	case *events.TeamRestored:
		return nil, teamKey(d.ID)

	case *events.QuotaUsageRecorded:
		return &a.usage, waitKey{id: usageKey(d.UsageDate, d.TeamID)}
	case *events.QuotaUsageIncremented:
		return &a.usage, waitKey{id: usageKey(d.UsageDate, d.TeamID)}

	case *events.APIKeyCreated:
		return &a.keys, apiKeyKey(d.ID)
	case *events.APIKeyUpdated:
		return &a.keys, apiKeyKey(d.ID)
	case *events.APIKeyUsed:
		return &a.keys, apiKeyKey(d.ID)
	case *events.APIKeyRevoked:
		return &a.keys, apiKeyKey(d.ID)

	case *events.SandboxCreated:
		return &a.sandboxes, sandboxKey(d.ID)
	case *events.SandboxStarted:
		return &a.sandboxes, sandboxKey(d.ID)
	case *events.SandboxStatusChanged:
		return &a.sandboxes, sandboxKey(d.ID)
	case *events.SandboxMetadataUpdated:
		return &a.sandboxes, sandboxKey(d.ID)
	case *events.SandboxDestroyed:
		return &a.sandboxes, sandboxKey(d.ID)
	}
	return nil, waitKey{}
}

package events

import "strings"

// registered is the kind of subject that a type belongs on and the function
// that reads its data; nil for an unknown type. A new event type gets its line
// here and in [Types]; its struct is in payload.go, its reading, writing and
// constructor are together in the file of its entity.
func registered(typ string) (SubjectKind, func(f *fields) Payload) {
	switch typ {
	case TypeUserRegistered:
		return SubjectAccount, func(f *fields) Payload { return readUserRegistered(f) }
	case TypeUserProfileUpdated:
		return SubjectAccount, func(f *fields) Payload { return readUserProfileUpdated(f) }
	case TypeUserEmailChanged:
		return SubjectAccount, func(f *fields) Payload { return &UserEmailChanged{Email: f.text("email")} }
	case TypeUserEmailVerified:
		return SubjectAccount, func(f *fields) Payload { return &UserEmailVerified{} }
	case TypeUserTierChanged:
		return SubjectAccount, func(f *fields) Payload {
			return &UserTierChanged{Tier: f.text("tier"), QuotaTierID: f.text("quota_tier_id")}
		}
	case TypeUserOperatorChanged:
		return SubjectAccount, func(f *fields) Payload { return &UserOperatorChanged{IsOperator: f.boolean("is_operator")} }
	case TypeUserAbuseFlagsChanged:
		return SubjectAccount, func(f *fields) Payload { return &UserAbuseFlagsChanged{Flags: f.flags("flags")} }
	case TypeUserDeletionScheduled:
		return SubjectAccount, func(f *fields) Payload {
			return &UserDeletionScheduled{DeleteScheduledAt: f.time("delete_scheduled_at")}
		}
	case TypeUserDeletionCancelled:
		return SubjectAccount, func(f *fields) Payload { return &UserDeletionCancelled{} }
	case TypeUserSoftDeleted:
		return SubjectAccount, func(f *fields) Payload { return &UserSoftDeleted{} }
	case TypeUserRestored:
		return SubjectAccount, func(f *fields) Payload { return &UserRestored{} }
	case TypeTeamCreated:
		return SubjectAccount, func(f *fields) Payload { return readTeamCreated(f) }
	case TypeTeamUpdated:
		return SubjectAccount, func(f *fields) Payload {
			return &TeamUpdated{ID: f.uuid("id"), Name: f.patchText("name", false), Slug: f.patchText("slug", false)}
		}
	case TypeTeamOwnerChanged:
		return SubjectAccount, func(f *fields) Payload {
			return &TeamOwnerChanged{ID: f.uuid("id"), OwnerUserID: f.uuid("owner_user_id")}
		}
	case TypeTeamQuotaTierChanged:
		return SubjectAccount, func(f *fields) Payload {
			return &TeamQuotaTierChanged{ID: f.uuid("id"), QuotaTierID: f.text("quota_tier_id")}
		}
	case TypeTeamSoftDeleted:
		return SubjectAccount, func(f *fields) Payload { return &TeamSoftDeleted{ID: f.uuid("id")} }
	case TypeTeamRestored:
		return SubjectAccount, func(f *fields) Payload { return &TeamRestored{ID: f.uuid("id")} }
	case TypeQuotaTierDefined:
		return SubjectTier, func(f *fields) Payload { return readQuotaTierDefined(f) }
	case TypeQuotaUsageRecorded:
		return SubjectAccount, func(f *fields) Payload { return &QuotaUsageRecorded{readQuotaUsage(f)} }
	case TypeQuotaUsageIncremented:
		return SubjectAccount, func(f *fields) Payload { return &QuotaUsageIncremented{readQuotaUsage(f)} }
	case TypeAPIKeyCreated:
		return SubjectAccount, func(f *fields) Payload { return readAPIKeyCreated(f) }
	case TypeAPIKeyUpdated:
		return SubjectAccount, func(f *fields) Payload { return readAPIKeyUpdated(f) }
	case TypeAPIKeyUsed:
		return SubjectAccount, func(f *fields) Payload { return &APIKeyUsed{ID: f.uuid("id")} }
	case TypeAPIKeyRevoked:
		return SubjectAccount, func(f *fields) Payload { return &APIKeyRevoked{ID: f.uuid("id")} }
	case TypeSandboxCreated:
		return SubjectAccount, func(f *fields) Payload { return readSandboxCreated(f) }
	case TypeSandboxStarted:
		return SubjectAccount, func(f *fields) Payload { return &SandboxStarted{ID: f.textOf("id", MaxID)} }
	case TypeSandboxStatusChanged:
		return SubjectAccount, func(f *fields) Payload {
			return &SandboxStatusChanged{ID: f.textOf("id", MaxID), Status: f.text("status")}
		}
	case TypeSandboxMetadataUpdated:
		return SubjectAccount, func(f *fields) Payload {
			return &SandboxMetadataUpdated{ID: f.textOf("id", MaxID), Metadata: f.object("metadata")}
		}
	case TypeSandboxDestroyed:
		return SubjectAccount, func(f *fields) Payload { return &SandboxDestroyed{ID: f.textOf("id", MaxID)} }
	case TypeAccountErased:
		return SubjectAccount, func(f *fields) Payload { return &AccountErased{} }
	}
	return SubjectUnsound, nil
}

// Types lists the known types, in full, in the order of contract §2.
func Types() []string {
	return []string{TypeUserRegistered, TypeUserProfileUpdated, TypeUserEmailChanged, TypeUserEmailVerified,
		TypeUserTierChanged, TypeUserOperatorChanged, TypeUserAbuseFlagsChanged, TypeUserDeletionScheduled,
		TypeUserDeletionCancelled, TypeUserSoftDeleted, TypeUserRestored, TypeTeamCreated, TypeTeamUpdated,
		TypeTeamOwnerChanged, TypeTeamQuotaTierChanged, TypeTeamSoftDeleted, TypeTeamRestored, TypeQuotaTierDefined,
		TypeQuotaUsageRecorded, TypeQuotaUsageIncremented, TypeAPIKeyCreated, TypeAPIKeyUpdated, TypeAPIKeyUsed,
		TypeAPIKeyRevoked, TypeSandboxCreated, TypeSandboxStarted, TypeSandboxStatusChanged,
		TypeSandboxMetadataUpdated, TypeSandboxDestroyed, TypeAccountErased}
}

// Known tells whether this program knows the type.
func Known(typ string) bool {
	_, decode := registered(typ)
	return decode != nil
}

// ShortType is the type without the "controlplane." in front, as metrics name
// it.
func ShortType(typ string) string { return strings.TrimPrefix(typ, "controlplane.") }

package events

import "strings"

// decodeData reads the data of a known type. A new event type gets its line
// here; its struct is in payload.go, its reading, writing and constructor are
// together in the file of its entity.
func decodeData(typ string, list []field) (Payload, error) {
	f := &fields{list: list}
	var p Payload
	switch typ {
	case TypeUserRegistered:
		p = readUserRegistered(f)
	case TypeUserProfileUpdated:
		p = readUserProfileUpdated(f)
	case TypeUserEmailChanged:
		p = &UserEmailChanged{Email: f.text("email")}
	case TypeUserEmailVerified:
		p = &UserEmailVerified{}
	case TypeUserTierChanged:
		p = &UserTierChanged{Tier: f.text("tier"), QuotaTierID: f.text("quota_tier_id")}
	case TypeUserOperatorChanged:
		p = &UserOperatorChanged{IsOperator: f.boolean("is_operator")}
	case TypeUserAbuseFlagsChanged:
		p = &UserAbuseFlagsChanged{Flags: f.flags("flags")}
	case TypeUserDeletionScheduled:
		p = &UserDeletionScheduled{DeleteScheduledAt: f.time("delete_scheduled_at")}
	case TypeUserDeletionCancelled:
		p = &UserDeletionCancelled{}
	case TypeUserSoftDeleted:
		p = &UserSoftDeleted{}
	case TypeUserRestored:
		p = &UserRestored{}
	case TypeTeamCreated:
		p = readTeamCreated(f)
	case TypeTeamUpdated:
		p = &TeamUpdated{ID: f.uuid("id"), Name: f.patchText("name", false), Slug: f.patchText("slug", false)}
	case TypeTeamOwnerChanged:
		p = &TeamOwnerChanged{ID: f.uuid("id"), OwnerUserID: f.uuid("owner_user_id")}
	case TypeTeamQuotaTierChanged:
		p = &TeamQuotaTierChanged{ID: f.uuid("id"), QuotaTierID: f.text("quota_tier_id")}
	case TypeTeamSoftDeleted:
		p = &TeamSoftDeleted{ID: f.uuid("id")}
	case TypeTeamRestored:
		p = &TeamRestored{ID: f.uuid("id")}
	case TypeQuotaTierDefined:
		p = readQuotaTierDefined(f)
	case TypeQuotaUsageRecorded:
		p = &QuotaUsageRecorded{readQuotaUsage(f)}
	case TypeQuotaUsageIncremented:
		p = &QuotaUsageIncremented{readQuotaUsage(f)}
	case TypeAPIKeyCreated:
		p = readAPIKeyCreated(f)
	case TypeAPIKeyUpdated:
		p = readAPIKeyUpdated(f)
	case TypeAPIKeyUsed:
		p = &APIKeyUsed{ID: f.uuid("id")}
	case TypeAPIKeyRevoked:
		p = &APIKeyRevoked{ID: f.uuid("id")}
	case TypeSandboxCreated:
		p = readSandboxCreated(f)
	case TypeSandboxStarted:
		p = &SandboxStarted{ID: f.textOf("id", MaxID)}
	case TypeSandboxStatusChanged:
		p = &SandboxStatusChanged{ID: f.textOf("id", MaxID), Status: f.text("status")}
	case TypeSandboxMetadataUpdated:
		p = &SandboxMetadataUpdated{ID: f.textOf("id", MaxID), Metadata: f.object("metadata")}
	case TypeSandboxDestroyed:
		p = &SandboxDestroyed{ID: f.textOf("id", MaxID)}
	case TypeAccountErased:
		p = &AccountErased{}
	}
	return p, f.err
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
	if !strings.HasPrefix(typ, typePrefix) {
		return false
	}
	p, _ := decodeData(typ, nil)
	return p != nil
}

const typePrefix = "controlplane."

// ShortType is the type without the "controlplane." in front, as metrics name
// it.
func ShortType(typ string) string { return strings.TrimPrefix(typ, typePrefix) }

// kindOf is the kind of subject that a known type belongs on.
func kindOf(typ string) SubjectKind {
	if typ == TypeQuotaTierDefined {
		return SubjectTier
	}
	return SubjectAccount
}

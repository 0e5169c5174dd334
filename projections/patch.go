package projections

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"accountexport/events"
)

// patch is what one event, or several in a row, changes in an entity that exists.
// To apply p and then q is the same as to apply p after p.merge(q); so the events
// that wait for an entity are kept as one patch, whatever their number, which is
// applied when the entity is created.
//
// Field by field the later patch wins, except for points in time that only move
// forward (At and UsedAt).
type patch interface {
	// apply changes the entity, which is of the patch's kind.
	apply(e entity)
	// merge adds a later patch of the same kind. It may keep memory of the later one,
	// which is not used afterwards.
	merge(later patch)
	// size is about how many bytes the patch's values take in memory.
	size() int
}

// patchOf is what an event changes in its target, see [Account.target]; nil where the
// event does not expect an entity to exist.
func patchOf(data events.Payload, at events.Time) patch {
	switch d := data.(type) {
	case *events.UserProfileUpdated:
		return &userPatch{At: at, Name: d.Name, DisplayName: d.DisplayName, AvatarURL: d.AvatarURL}
	case *events.UserEmailChanged:
		return &userPatch{At: at, Email: events.Some(d.Email), EmailVerifiedAt: events.Clear[events.Time]()}
	case *events.UserEmailVerified:
		return &userPatch{At: at, EmailVerifiedAt: events.Some(at)}
	case *events.UserTierChanged:
		return &userPatch{At: at, Tier: events.Some(d.Tier), QuotaTierID: events.Some(d.QuotaTierID)}
	case *events.UserOperatorChanged:
		return &userPatch{At: at, IsOperator: events.Some(d.IsOperator)}
	case *events.UserAbuseFlagsChanged:
		return &userPatch{At: at, Flags: d.Flags}
	case *events.UserDeletionScheduled:
		return &userPatch{At: at, DeleteScheduledAt: events.Some(d.DeleteScheduledAt)}
	case *events.UserDeletionCancelled:
		return &userPatch{At: at, DeleteScheduledAt: events.Clear[events.Time]()}
	case *events.UserSoftDeleted:
		return &userPatch{At: at, SoftDeletedAt: events.Some(at)}
	case *events.UserRestored:
		return &userPatch{At: at, SoftDeletedAt: events.Clear[events.Time](), DeleteScheduledAt: events.Clear[events.Time]()}

	case *events.TeamUpdated:
		return &teamPatch{At: at, Name: d.Name, Slug: d.Slug}
	case *events.TeamOwnerChanged:
		return &teamPatch{At: at, OwnerUserID: events.Some(d.OwnerUserID)}
	case *events.TeamQuotaTierChanged:
		return &teamPatch{At: at, QuotaTierID: events.Some(d.QuotaTierID)}
	case *events.TeamSoftDeleted:
		return &teamPatch{At: at, SoftDeletedAt: events.Some(at)}
	case *events.TeamRestored:
		return &teamPatch{At: at, SoftDeletedAt: events.Clear[events.Time]()}

	case *events.APIKeyUpdated:
		return &keyPatch{Name: d.Name, Scope: d.Scope, ExpiresAt: d.ExpiresAt, IsActive: d.IsActive}
	case *events.APIKeyUsed:
		return &keyPatch{UsedAt: events.Some(at)}
	case *events.APIKeyRevoked:
		return &keyPatch{IsActive: events.Some(false), RevokedAt: events.Some(at)}

	case *events.SandboxStarted:
		return &sandboxPatch{At: at, Status: events.Some("running"), StartedAt: events.Some(at)}
	case *events.SandboxStatusChanged:
		return &sandboxPatch{At: at, Status: events.Some(d.Status)}
	case *events.SandboxMetadataUpdated:
		return &sandboxPatch{At: at, Metadata: d.Metadata}
	case *events.SandboxDestroyed:
		return &sandboxPatch{At: at, Status: events.Some("destroyed"), DestroyedAt: events.Some(at)}
	}
	return nil
}

// encodePatch is the form in which a patch waits in the store: JSON whose keys are the
// names of the patch's fields. Nobody else reads it but for one key, the e-mail address
// of a userPatch, Email, by which an erasure searches for what is left of a person
// (readmodel/admin/erase_traces.go).
func encodePatch(p patch) ([]byte, error) {
	if u, ok := p.(*userPatch); ok && u.folded != nil {
		whole := *u
		whole.Flags = u.flags()
		p = &whole
	}
	return json.Marshal(p, json.OmitZeroStructFields(true))
}

// readPatch reads what encodePatch has written for an entity of the kind.
func readPatch(kind EntityKind, b []byte) (patch, error) {
	var p patch
	switch kind {
	case UserEntity:
		p = &userPatch{}
	case TeamEntity:
		p = &teamPatch{}
	case KeyEntity:
		p = &keyPatch{}
	case SandboxEntity:
		p = &sandboxPatch{}
	default:
		return nil, fmt.Errorf("kind of entity %d: %w", kind, errCorrupt)
	}
	return p, json.Unmarshal(b, p)
}

// textSize is how many bytes the texts have.
func textSize(texts ...events.Optional[string]) (n int) {
	for _, t := range texts {
		n += len(t.Value)
	}
	return n
}

// set sets a value that cannot be null, where the patch has one.
func set[T any](dst *T, o events.Optional[T]) {
	if o.Set {
		*dst = o.Value
	}
}

// setPtr sets or clears a value that can be null, where the patch has one.
func setPtr[T any](dst **T, o events.Optional[T]) {
	switch {
	case o.Set && o.Null:
		*dst = nil
	case o.Set:
		*dst = &o.Value
	}
}

// override has a later patch's field win, where it has one.
func override[T any](dst *events.Optional[T], o events.Optional[T]) {
	if o.Set {
		*dst = o
	}
}

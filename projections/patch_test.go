package projections

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// TestPatchesCompose checks what deferring events relies on: to apply p, q and r to an entity
// that was just created is the same as to apply the patch that they merge into, also if
// that was stored and read back in between.
func TestPatchesCompose(t *testing.T) {
	testrun.Seeds(t, func(t *testing.T, seed uint64) {
		g := &patches{rand.New(rand.NewPCG(seed, 2))}
		for range testrun.AtLength(500, 5000) {
			composes(t, UserEntity, g.user, func() *User {
				return &User{Email: g.text(), UpdatedAt: g.time(), Name: g.textPtr(), SoftDeletedAt: nil}
			})
			composes(t, TeamEntity, g.team, func() *Team {
				return &Team{Name: g.text(), UpdatedAt: g.time()}
			})
			composes(t, KeyEntity, g.key, func() *APIKey {
				return &APIKey{Name: g.text(), IsActive: true, CreatedAt: g.time()}
			})
			composes(t, SandboxEntity, g.sandbox, func() *Sandbox {
				return &Sandbox{Status: "pending", Metadata: []byte(`{}`), UpdatedAt: g.time()}
			})
			if t.Failed() {
				return
			}
		}
	})
}

func composes[P any, PP interface {
	*P
	patch
}, T any, E interface {
	*T
	entity
}](t *testing.T, kind EntityKind, random func() P, fresh func() E) {
	t.Helper()
	start := fresh()
	patches := [3]P{random(), random(), random()}
	want := *start
	for _, p := range patches {
		PP(&p).apply(E(&want))
	}
	first := patches[0]
	together, stored := patch(PP(&first)), reread(t, kind, PP(&patches[0]))
	for _, p := range patches[1:] {
		q := p
		together.merge(PP(&p))
		stored.merge(PP(&q))
		stored = reread(t, kind, stored)
	}
	for name, p := range map[string]patch{"p.merge(q).merge(r)": together, "the same stored between any two": stored} {
		got := *start
		p.apply(E(&got))
		if diff := cmp.Diff(string(E(&want).appendJSON(nil)), string(E(&got).appendJSON(nil))); diff != "" {
			t.Errorf("%T: p, q, r apart (-) and %s (+):\n%s\np, q, r: %+v", want, name, diff, patches)
		}
	}
}

func reread(t *testing.T, kind EntityKind, p patch) patch {
	t.Helper()
	b, err := encodePatch(p)
	if err != nil {
		t.Fatal(err)
	}
	read, err := readPatch(kind, b)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestBrokenPatchIsAnError(t *testing.T) {
	for _, body := range []string{"", "null!", `{"At":"x"}`, `{"Flags":[{"Value":"%"}]}`, `[]`, `{"At":1,"At":2}`} {
		if _, err := readPatch(UserEntity, []byte(body)); err == nil {
			t.Errorf("%q was read as a patch", body)
		}
	}
	if _, err := readPatch(99, []byte(`{}`)); err == nil {
		t.Error("a patch of no kind of entity was read")
	}
}

// patches makes random patches, with each field absent, null or set.
type patches struct{ *rand.Rand }

func (g *patches) text() string      { return []string{"", "a", "b", "é\"\\\x01"}[g.IntN(4)] }
func (g *patches) time() events.Time { return events.Time(g.IntN(4)) - 2 }

func (g *patches) textPtr() *string {
	s := g.text()
	return &s
}

func optional[T any](g *patches, nullable bool, value func() T) events.Optional[T] {
	switch n := g.IntN(4); {
	case n == 0 && nullable:
		return events.Clear[T]()
	case n <= 1:
		return events.Some(value())
	}
	return events.Optional[T]{}
}

func (g *patches) bool() bool        { return g.IntN(2) == 0 }
func (g *patches) uuid() events.UUID { return events.UUID{byte(g.IntN(3))} }

func (g *patches) user() userPatch {
	p := userPatch{At: g.time(), Email: optional(g, false, g.text), Tier: optional(g, false, g.text),
		QuotaTierID: optional(g, false, g.text), IsOperator: optional(g, false, g.bool), Name: optional(g, true, g.text),
		DisplayName: optional(g, true, g.text), AvatarURL: optional(g, true, g.text),
		EmailVerifiedAt: optional(g, true, g.time), SoftDeletedAt: optional(g, true, g.time),
		DeleteScheduledAt: optional(g, true, g.time)}
	for _, name := range g.Perm(5)[:g.IntN(5)] {
		f := events.Flag{Name: []string{"", "a", "b", "c\"", "\x00"}[name]}
		if g.IntN(3) > 0 {
			f.Value = []byte([]string{"1", `"x"`, `{"a":[]}`, "1.0"}[g.IntN(4)])
		}
		p.Flags = append(p.Flags, f)
	}
	return p
}

func (g *patches) team() teamPatch {
	return teamPatch{At: g.time(), Name: optional(g, false, g.text), Slug: optional(g, false, g.text),
		OwnerUserID: optional(g, false, g.uuid), QuotaTierID: optional(g, false, g.text),
		SoftDeletedAt: optional(g, true, g.time)}
}

func (g *patches) key() keyPatch {
	return keyPatch{Name: optional(g, false, g.text), Scope: optional(g, false, g.text),
		ExpiresAt: optional(g, true, g.time), IsActive: optional(g, false, g.bool), UsedAt: optional(g, false, g.time),
		RevokedAt: optional(g, false, g.time)}
}

func (g *patches) sandbox() sandboxPatch {
	p := sandboxPatch{At: g.time(), Status: optional(g, false, g.text), StartedAt: optional(g, false, g.time),
		DestroyedAt: optional(g, false, g.time)}
	if g.IntN(2) == 0 {
		p.Metadata = []byte([]string{"{}", `{"a":1}`}[g.IntN(2)])
	}
	return p
}

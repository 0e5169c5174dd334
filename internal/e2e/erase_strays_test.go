package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// TestWhatSpeaksOfTheErased: messages about an account on subjects of no account are found and
// removed, wherever its e-mail address is known from and however it is spelt. Messages about others
// stay.
func TestWhatSpeaksOfTheErased(t *testing.T) {
	t.Parallel()
	parked := func(id, address string) string {
		return `{"specversion":"1.0","id":"x","source":"/x","type":"controlplane.user.registered.v1","time":"2026-03-25T07:11:48Z","data":{"email":"` +
			address + `","tier":"free"}}`
	}
	for name, publish := range map[string]func(t *testing.T, s *system){
		"nothing but strays": func(t *testing.T, s *system) { s.publishStray(t, someone) },
		"the subject of a tier": func(t *testing.T, s *system) {
			s.publishMarked(t, someone, 3)
			s.publishRaw(t, "controlplane.quota_tier."+someone, `{"email":"`+addressOf(someone)+`"}`)
		},
		"an address that is parked": func(t *testing.T, s *system) {
			s.publishRaw(t, "controlplane.account."+someone, parked(someone, addressOf(someone)))
			s.publishRaw(t, "controlplane.account.typo", `{"email":"`+addressOf(someone)+`"}`)
		},
		"a header": func(t *testing.T, s *system) {
			s.publishMarked(t, someone, 2)
			m := events.Message{Subject: "controlplane.account.typo", Header: http.Header{"ce-specversion": {"1.0"},
				"ce-subject": {strings.Replace(addressOf(someone), "@", "%40", 1)}}, Data: []byte(`"` + marker + `"`)}
			if _, err := s.client.PublishRaw(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			s.startProjector(t)
			s.publishMarked(t, another, 2)
			publish(t, s)
			s.publishRaw(t, "controlplane.account.typo", `{"email":"x`+strings.Replace(addressOf(someone), marker, "elsewhere", 1)+`"}`)
			s.waitProjected(t)
			s.erase(t, another, 0, nothingLeft)
			s.erase(t, someone, 0, nothingLeft)
			s.checkNoTraces(t)
			others := 0
			if err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
				if strings.Contains(string(m.Data), "elsewhere") {
					others++
				}
				return nil
			}); err != nil || others != 1 {
				t.Errorf("of somebody else's messages %d are left, want 1: %v", others, err)
			}
			s.mustRun(t, 0, "", "status")
		})
	}
}

// TestAddressChangedMeanwhile: the account's e-mail address changes while an erasure waits for the
// projector. Messages with the new address are found as well.
func TestAddressChangedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	s.publishMarked(t, someone, 3)
	s.waitProjected(t)
	waiting, release := s.holdCommits(t, "accountexport %/%")
	erase := launch(t, "projector", s.settings, "erase", "--account", someone)
	waiting(1)
	eventually(t, "the erasure to wait", time.Minute, hasPrinted(erase, "waiting until"))
	m, err := events.NewUserEmailChanged(newMeta("changed"), uuid(t, someone),
		events.UserEmailChanged{Email: "new@" + marker + ".example"})
	s.publishEvent(t, m, err)
	s.publishRaw(t, "controlplane.account.typo", `{"email":"new@`+marker+`.example"}`)
	release()
	erase.mustExit(t, 0)
	s.waitProjected(t)
	s.checkNoTraces(t)
}

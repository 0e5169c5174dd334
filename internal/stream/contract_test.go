package stream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestEverySettingIsHeldAgainstTheContract: a stream as provision makes it is right in all
// of them, and each one by itself is found to be wrong, with what it is and what it should
// be.
func TestEverySettingIsHeldAgainstTheContract(t *testing.T) {
	sound := func() jetstream.StreamConfig {
		cfg := wanted("CONTROL_PLANE")
		cfg.Metadata = map[string]string{idKey: "x"}
		return cfg
	}
	changes := map[string]func(*jetstream.StreamConfig){
		"subjects":             func(c *jetstream.StreamConfig) { c.Subjects = []string{"other.>"} },
		"retention":            func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"storage":              func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
		"max_msgs":             func(c *jetstream.StreamConfig) { c.MaxMsgs = 7 },
		"max_bytes":            func(c *jetstream.StreamConfig) { c.MaxBytes = 7 },
		"max_age":              func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"max_msgs_per_subject": func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 7 },
		"max_msg_size":         func(c *jetstream.StreamConfig) { c.MaxMsgSize = 7 },
		"sources":              func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} },
		"mirror":               func(c *jetstream.StreamConfig) { c.Mirror = &jetstream.StreamSource{Name: "OTHER"} },
		"republish":            func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{} },
		"no_ack":               func(c *jetstream.StreamConfig) { c.NoAck = true },
		"sealed":               func(c *jetstream.StreamConfig) { c.Sealed = true },
		"deny_delete":          func(c *jetstream.StreamConfig) { c.DenyDelete = true },
		"deny_purge":           func(c *jetstream.StreamConfig) { c.DenyPurge = true },
		"allow_rollup_hdrs":    func(c *jetstream.StreamConfig) { c.AllowRollup = true },
		"allow_msg_ttl":        func(c *jetstream.StreamConfig) { c.AllowMsgTTL = true },
		"persist_mode":         func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode },
		"discard":              func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"id":                   func(c *jetstream.StreamConfig) { c.Metadata = nil },
		"subject_transform":    func(c *jetstream.StreamConfig) { c.SubjectTransform.Destination = "controlplane.{{wildcard(1)}}" },
	}
	all := func(c jetstream.StreamConfig) []Setting { return append(settings(c), transformSetting(c)) }
	for _, s := range all(sound()) {
		if !s.Right || s.Have == "" || s.Want == "" {
			t.Errorf("as it is provisioned, %s is %q, want %q: %v", s.What, s.Have, s.Want, s.Right)
		}
		if changes[s.What] == nil {
			t.Errorf("this test does not change %s", s.What)
		}
	}
	for what, change := range changes {
		cfg := sound()
		change(&cfg)
		n := 0
		for i, s := range all(cfg) {
			if s.Right {
				continue
			}
			if n++; s.What != what || s.Have == all(sound())[i].Have || s.Want != all(sound())[i].Want {
				t.Errorf("with another %s: %+v", what, s)
			}
		}
		if n != 1 {
			t.Errorf("with another %s, %d settings are wrong", what, n)
		}
	}
}

package stream

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestCopiesOfOtherDomainsAreNotOurs: a stream that mirrors or sources one of the
// same name in another JetStream domain is no copy of this one, and neither are that
// stream's copies. One that names this server by its prefix is a copy.
func TestCopiesOfOtherDomainsAreNotOurs(t *testing.T) {
	c, _ := provisioned(t)
	ctx := deadline(t)
	from := func(name, prefix string) *jetstream.StreamSource {
		src := &jetstream.StreamSource{Name: name}
		if prefix != "" {
			src.External = &jetstream.ExternalStream{APIPrefix: prefix}
		}
		return src
	}
	for _, cfg := range []jetstream.StreamConfig{
		{Name: "MIRROR", Mirror: from("CONTROL_PLANE", "")},
		{Name: "SOURCING", Sources: []*jetstream.StreamSource{from("CONTROL_PLANE", "$JS.production.API"), from("MIRROR", "")}},
		{Name: "FOREIGN", Mirror: from("CONTROL_PLANE", "$JS.production.API")},
		{Name: "FOREIGN_TOO", Sources: []*jetstream.StreamSource{from("CONTROL_PLANE", "$JS.production.API")}},
		{Name: "OF_FOREIGN", Mirror: from("FOREIGN", "")},
	} {
		if _, err := c.js.CreateStream(ctx, cfg); err != nil {
			t.Fatalf("%s: %v", cfg.Name, err)
		}
	}
	if copies, err := c.Copies(ctx); err != nil || !slices.Equal(copies, []string{"MIRROR", "SOURCING"}) {
		t.Errorf("copies are %v, %v", copies, err)
	}
	for prefix, want := range map[string]bool{"$JS.hub.API": true, "$JS.hub.API.": true, "$JS.leaf.API": false, "$JS.API": true, "": true, "JS.account": false} {
		s := listed{Domain: "hub", Config: jetstream.StreamConfig{Mirror: &jetstream.StreamSource{Name: "A",
			External: &jetstream.ExternalStream{APIPrefix: prefix}}}}
		if got := s.copiesFrom(map[string]bool{"A": true}); got != want {
			t.Errorf("prefix %q: %v", prefix, got)
		}
	}
}

package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"accountexport/projections/engine"
)

// idKey is the key in the stream's metadata of the id that the stream claims. A
// backup, and a mirror that copied the metadata, have the same id, so it proves
// nothing about the messages.
const idKey = "accountexport-id"

// idSetting is the name under which a missing id is listed among the stream's
// deviations.
const idSetting = "id"

func newID() string { return strings.ToLower(rand.Text()) }

// Exists reports whether a stream of the name exists.
func (c *Client) Exists(ctx context.Context) (bool, error) {
	_, err := c.stream(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, c.explain(err)
	}
	return true, nil
}

// identify gives a stream without an id one: the id by which the database knows this
// stream, where it is among the known identities, and otherwise a new one. It returns
// the id that the stream has afterwards, which is empty where the server keeps no
// metadata.
//
// Settings that this program does not know are sent back unchanged.
func (c *Client) identify(ctx context.Context, known []engine.StreamIdentity) (string, error) {
	var info struct {
		Config  map[string]json.RawMessage `json:"config"`
		Created time.Time                  `json:"created"`
	}
	if err := c.api(ctx, "STREAM.INFO."+c.cfg.Stream, nil, &info); err != nil {
		return "", c.explain(err)
	}
	metadata, err := metadataOf(info.Config)
	if err != nil {
		return "", err
	}
	if id := metadata[idKey]; id != "" {
		return id, nil
	}
	id := newID()
	for _, k := range known {
		if k.ID != "" && k.Name == c.cfg.Stream && stamp(k.Created) == stamp(info.Created) {
			id = k.ID
			break
		}
	}
	metadata = maps.Clone(metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[idKey] = id
	if info.Config["metadata"], err = json.Marshal(metadata); err != nil {
		return "", err
	}
	var updated struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := c.api(ctx, "STREAM.UPDATE."+c.cfg.Stream, info.Config, &updated); err != nil {
		return "", fmt.Errorf("write an id into the metadata of stream %s: %w", c.cfg.Stream, err)
	}
	metadata, err = metadataOf(updated.Config)
	return metadata[idKey], err
}

func metadataOf(config map[string]json.RawMessage) (metadata map[string]string, err error) {
	if raw := config["metadata"]; raw != nil {
		if err = json.Unmarshal(raw, &metadata); err != nil {
			err = fmt.Errorf("metadata of the stream: %w", err)
		}
	}
	return metadata, err
}

// stamp formats a time with the precision that PostgreSQL keeps, microseconds.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano) }

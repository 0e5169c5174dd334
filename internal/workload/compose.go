package workload

import (
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"
)

// composer generates plain, valid, compact events fast.
type composer struct {
	*rand.Rand
	clock  int64 // microseconds since 1970
	events uint64
	data   []byte // of the event being composed
}

func newComposer(seed uint64) composer {
	return composer{Rand: rand.New(rand.NewPCG(seed, 0xd1b54a32d192ed03)),
		clock: time.Date(2026, 3, 25, 7, 0, 0, 0, time.UTC).UnixMicro()}
}

func (c *composer) newUUID() string {
	var raw [16]byte
	for i, n := 0, c.Uint64(); i < 8; i, n = i+1, n>>8 {
		raw[i] = byte(n)
	}
	for i, n := 8, c.Uint64(); i < 16; i, n = i+1, n>>8 {
		raw[i] = byte(n)
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	var b [36]byte
	hex.Encode(b[:8], raw[:4])
	hex.Encode(b[9:13], raw[4:6])
	hex.Encode(b[14:18], raw[6:8])
	hex.Encode(b[19:23], raw[8:10])
	hex.Encode(b[24:], raw[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// start begins the data of an event.
func (c *composer) start() *composer {
	c.data = append(c.data[:0], '{')
	return c
}

func (c *composer) name(name string) {
	if len(c.data) > 1 {
		c.data = append(c.data, ',')
	}
	c.data = append(c.data, '"')
	c.data = append(c.data, name...)
	c.data = append(c.data, `":`...)
}

// text adds a member whose value needs no escapes.
func (c *composer) text(name, value string) *composer {
	c.name(name)
	c.data = append(c.data, '"')
	c.data = append(c.data, value...)
	c.data = append(c.data, '"')
	return c
}

func (c *composer) raw(name, value string) *composer {
	c.name(name)
	c.data = append(c.data, value...)
	return c
}

func (c *composer) number(name string, n int) *composer {
	c.name(name)
	c.data = strconv.AppendInt(c.data, int64(n), 10)
	return c
}

// event closes the data and returns the message.
func (c *composer) event(kind, last, eventType string) Message {
	c.events++
	c.clock += c.Int64N(20_000)
	b := make([]byte, 0, 232+len(eventType)+len(c.data))
	b = append(b, `{"specversion":"1.0","id":"evt-`...)
	b = strconv.AppendUint(b, c.Uint64()|1<<63, 16)
	b = append(b, '-')
	b = strconv.AppendUint(b, c.events, 10)
	b = append(b, `","source":"/control-plane/api","type":"controlplane.`...)
	b = append(b, eventType...)
	b = append(b, `","time":"`...)
	b = time.UnixMicro(c.clock).UTC().AppendFormat(b, "2006-01-02T15:04:05.999999Z07:00")
	b = append(b, `","datacontenttype":"application/json","data":`...)
	b = append(b, c.data...)
	b = append(b, "}}"...)
	return Message{Subject: "controlplane." + kind + "." + last, Data: b}
}

func (c *composer) tier(id string, limit int) Message {
	return c.start().text("id", id).text("display_name", "Tier "+id).number("max_concurrent_sandboxes", limit).
		number("daily_sandbox_creates", limit*50).raw("daily_gb_hours", "12.5").event("quota_tier", id, "quota_tier.defined.v1")
}

func (c *composer) user(account, tier string) Message {
	return c.start().text("email", "user-"+account[:8]+"@example.com").text("tier", tier).text("quota_tier_id", tier).
		text("name", "User "+account[:4]).text("avatar_url", "https://avatars.example.com/u/"+account).
		event("account", account, "user.registered.v1")
}

func (c *composer) team(account, team, tier string) Message {
	return c.start().text("id", team).text("name", "Team "+team[:4]).text("slug", "team-"+team[:8]).
		text("quota_tier_id", tier).event("account", account, "team.created.v1")
}

// metadata maps text to text, as most users' metadata does.
func (c *composer) metadata() *composer {
	c.name("metadata")
	c.data = append(c.data, `{"owner":"ci-`...)
	c.data = strconv.AppendInt(c.data, int64(c.IntN(1000)), 10)
	c.data = append(c.data, `","branch":"feature/`...)
	c.data = strconv.AppendUint(c.data, uint64(c.Uint32()), 16)
	c.data = append(c.data, `","purpose":"integration tests","retries":"`...)
	c.data = strconv.AppendInt(c.data, int64(c.IntN(10)), 10)
	c.data = append(c.data, `"}`...)
	return c
}

func (c *composer) sandboxCreated(account, id string) Message {
	return c.start().text("id", id).text("template", c.oneOf("base", "python-3.14", "node-24", "go-1.26")).metadata().
		event("account", account, "sandbox.created.v1")
}

// sandboxEvent is any event of a sandbox except its creation.
func (c *composer) sandboxEvent(account, id, eventType string) Message {
	c.start().text("id", id)
	switch eventType {
	case "sandbox.status_changed.v1":
		c.text("status", c.oneOf("running", "paused", "stopping", "archived", "error", "snapshotting"))
	case "sandbox.metadata_updated.v1":
		c.metadata()
	}
	return c.event("account", account, eventType)
}

func (c *composer) keyCreated(account, team, id string) Message {
	return c.start().text("id", id).text("team_id", team).text("key_prefix", "sk_"+id[:6]).text("name", "Key "+id[:4]).
		text("scope", "sandbox:write").event("account", account, "api_key.created.v1")
}

// usage adds to, or sets, the usage of the day that many days after 2020-01-01.
func (c *composer) usage(account, team string, day int, eventType string) Message {
	date := time.Date(2020, 1, 1+day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	return c.start().text("team_id", team).text("usage_date", date).number("sandbox_creates", c.IntN(20)).
		raw("gb_hours", c.oneOf("0.1", "0.25", "1.5", "3", "0.000001")).event("account", account, eventType)
}

func (c *composer) oneOf(from ...string) string { return from[c.IntN(len(from))] }

package events

import "maps"

// MsgIDHeader is the header by which JetStream drops what is published again within
// the stream's window for duplicates.
const MsgIDHeader = "Nats-Msg-Id"

// NATSHeader is the header to publish the message with: its own, and its event's id
// as Nats-Msg-Id. It is a copy, and of the type that nats.go has:
//
//	js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Header: m.NATSHeader(), Data: m.Data})
//
// A message that has no id, which only one without a sound envelope can be, is
// published without.
func (m Message) NATSHeader() map[string][]string { return m.NATSHeaderWithID(m.EventID()) }

// NATSHeaderWithID is NATSHeader with another id in place of the event's; where it is
// empty, the header is the message's own, and nil where that is empty, too.
func (m Message) NATSHeaderWithID(id string) map[string][]string {
	if id == "" && len(m.Header) == 0 {
		return nil
	}
	h := make(map[string][]string, len(m.Header)+1)
	maps.Copy(h, m.Header)
	if id != "" {
		h[MsgIDHeader] = []string{id}
	}
	return h
}

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"accountexport/internal/importer"
)

// TestParkedExportOfWhateverIsParked: each line of `parked export` gives the very message that was
// parked, whatever it is, as `projector import` reads it; where nothing can be published on such a
// subject, or with such a header, the import says so.
func TestParkedExportOfWhateverIsParked(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	at := "controlplane.account." + someone
	all := []nats.Msg{
		{Subject: at, Data: []byte("\xff\xfe\x00binary")},
		{Subject: at, Data: []byte(`{"a":"` + strings.Repeat("x", 900<<10) + `"}`)},
		{Subject: at, Data: []byte{}},
		{Subject: at, Data: []byte("null")},
		{Subject: at, Data: []byte(`{"a":"\ud800"}`)},
		{Subject: at, Data: []byte(`{"a":1,"a":2}`)},
		{Subject: at, Data: []byte(`{"a":"\u0000\/"}`)},
		{Subject: at, Data: []byte("\ufeff{}")},
		{Subject: at, Data: []byte(strings.Repeat("[", 20000))},
		{Subject: at, Data: []byte(strings.Repeat("[", 9990) + strings.Repeat("]", 9990))},
		{Subject: at, Data: []byte("line\nline\r\n\u2028")},
		{Subject: at, Data: []byte("1e400")},
		{Subject: at, Data: []byte("x"), Header: nats.Header{"ce-id": {"1", "2"}, "CE-Id": {"3"}}},
		{Subject: at, Data: []byte("x"), Header: nats.Header{"empty": {""}}},
		{Subject: at, Data: []byte("x"), Header: nats.Header{"colon": {"a: b: c"}}},
		{Subject: at, Data: []byte("x"), Header: nats.Header{"Natsy": {"v"}}},
		{Subject: at, Data: []byte("x"), Header: nats.Header{"tab": {"a\tb"}}},
		{Subject: "controlplane.account.nobody", Data: []byte("x")},
		{Subject: "controlplane.acount." + someone, Data: []byte("x")},
		{Subject: "controlplane.account." + strings.ToUpper(someone), Data: []byte("x")},
	}
	importable := len(all) // the rest an import names, since it has to be corrected
	all = append(all,
		nats.Msg{Subject: at, Data: []byte("x"), Header: nats.Header{"odd (name)": {"v"}}},
		nats.Msg{Subject: at, Data: []byte("x"), Header: nats.Header{"näme": {"v"}}},
		nats.Msg{Subject: "controlplane.account.\xff\xfe", Data: []byte("x")},
		nats.Msg{Subject: "controlplane.account.größe", Data: []byte("x")},
		nats.Msg{Subject: "controlplane.quota_tier." + strings.Repeat("l", 300), Data: []byte("x")},
	)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.nats.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var wire bytes.Buffer // as it is on the wire, since clients refuse some of it
	wire.WriteString("CONNECT {\"verbose\":false,\"headers\":true}\r\n")
	for _, m := range all {
		header := "NATS/1.0\r\n"
		for name, values := range m.Header {
			for _, v := range values {
				header += name + ": " + v + "\r\n"
			}
		}
		header += "\r\n"
		if len(m.Header) == 0 {
			fmt.Fprintf(&wire, "PUB %s %d\r\n%s\r\n", m.Subject, len(m.Data), m.Data)
			continue
		}
		fmt.Fprintf(&wire, "HPUB %s %d %d\r\n%s%s\r\n", m.Subject, len(header), len(header)+len(m.Data), header, m.Data)
	}
	if _, err := conn.Write(wire.Bytes()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all to be stored", time.Minute, func(ctx context.Context) error {
		info, err := s.client.Info(ctx)
		if err == nil && info.Messages != uint64(len(all)) {
			err = fmt.Errorf("%d of %d are", info.Messages, len(all))
		}
		return err
	})
	s.startProjector(t)
	s.waitProjected(t)
	out, status := command(t, "projector", s.settings, "parked", "export", "--all")
	if status != 0 {
		t.Errorf("exit %d: %.2000s", status, out[max(0, len(out)-2000):])
	}
	lines := strings.SplitAfter(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(all) {
		t.Errorf("%d lines of %d messages", len(lines), len(all))
	}
	for i := range min(len(lines), len(all)) {
		m, err := importer.ParseObject([]byte(lines[i]))
		switch want := all[i]; {
		case i >= importable:
			if err == nil || !strings.HasPrefix(err.Error(), "subject: found ") && !strings.HasPrefix(err.Error(), "headers: found the name ") {
				t.Errorf("%d: %v, want that the subject or the header's name is named", i, err)
			}
		case err != nil:
			t.Errorf("%d: %v: %.300s", i, err, lines[i])
		case m.Subject != want.Subject || !bytes.Equal(m.Data, want.Data) || !maps.EqualFunc(m.Header, want.Header, slices.Equal):
			t.Errorf("%d: %.200q gives %.200q %v %.300q, want %v %.200q", i, lines[i], m.Subject, m.Header, m.Data, want.Header, want.Data)
		}
	}
}

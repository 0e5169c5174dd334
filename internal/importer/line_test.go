package importer

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

func TestLines(t *testing.T) {
	subject := "controlplane.account." + account(0)
	structured := map[string][]string{"Content-Type": {"application/cloudevents+json"}}
	inner := `{"specversion":"1.0","id":"a","source":"/s","type":"controlplane.user.restored.v1","time":"2020-05-01T10:00:00Z","data":{}}`
	binary := `"headers":{"ce-specversion":"1.0","ce-id":"b","ce-source":"/s","ce-type":"controlplane.user.restored.v1","ce-time":["2020-05-01T10:00:00Z"]}`
	bare := map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"b"}, "ce-source": {"/s"}, "ce-type": {"controlplane.user.restored.v1"}, "ce-time": {"2020-05-01T10:00:00Z"}}
	for name, tc := range map[string]struct {
		line string
		want events.Message
		id   string
		park string // part of why it would be parked
		err  string // or of why it cannot be published
	}{
		"a CloudEvent":         {line: increment(0, 1), want: events.Message{Subject: subject, Header: structured, Data: []byte(increment(0, 1))}, id: "line-0"},
		"one with a subject":   {line: strings.Replace(increment(0, 1), `{`, `{"subject":"sandbox",`, 1), want: events.Message{Subject: subject, Header: structured, Data: []byte(strings.Replace(increment(0, 1), `{`, `{"subject":"sandbox",`, 1))}, id: "line-0"},
		"data as JSON":         {line: `{"subject":"` + subject + `","data":` + inner + `}`, want: events.Message{Subject: subject, Data: []byte(inner)}, id: "a"},
		"data as text":         {line: `{"subject":"` + subject + `","data":"` + strings.ReplaceAll(inner, `"`, `\"`) + `"}`, want: events.Message{Subject: subject, Data: []byte(inner)}, id: "a"},
		"data in base64":       {line: `{"subject":"` + subject + `",` + binary + `,"data_base64":"e30="}`, want: events.Message{Subject: subject, Header: bare, Data: []byte("{}")}, id: "b"},
		"binary mode":          {line: `{"subject":"` + subject + `",` + binary + `,"data":{},"data_base64":null}`, want: events.Message{Subject: subject, Header: bare, Data: []byte("{}")}, id: "b"},
		"a value parked":       {line: strings.Replace(increment(0, 1), `:1,`, `:-1,`, 1), want: events.Message{Subject: subject, Header: structured, Data: []byte(strings.Replace(increment(0, 1), `:1,`, `:-1,`, 1))}, id: "line-0", park: "data.sandbox_creates: found -1, want"},
		"a subject parked":     {line: `{"subject":"controlplane.account.me","data":` + inner + `}`, want: events.Message{Subject: "controlplane.account.me", Data: []byte(inner)}, id: "a", park: `subject: found "controlplane.account.me"`},
		"a tier parked":        {line: `{"specversion":"1.0","id":"t","source":"/s","type":"controlplane.quota_tier.defined.v1","time":"2020-05-01T10:00:00Z","partitionkey":"pro","data":{}}`, want: events.Message{Subject: "controlplane.quota_tier.pro", Header: structured, Data: []byte(`{"specversion":"1.0","id":"t","source":"/s","type":"controlplane.quota_tier.defined.v1","time":"2020-05-01T10:00:00Z","partitionkey":"pro","data":{}}`)}, id: "t", park: "data.id: found nothing"},
		"no id":                {line: strings.Replace(increment(0, 1), `"id":"line-0",`, ``, 1), err: "id: found nothing, want a text that is not empty; and without an id"},
		"an id of a space":     {line: strings.Replace(increment(0, 1), `line-0`, ` `, 1), err: "id: found only spaces"},
		"no partitionkey":      {line: strings.Replace(increment(0, 1), `partitionkey`, `partition`, 1), err: "partitionkey: found nothing, want the account's UUID"},
		"no JSON":              {line: `{"specversion":}`, err: "found no JSON ("},
		"half a line":          {line: increment(0, 1)[:50], err: "found no JSON (unexpected EOF"},
		"a name twice":         {line: `{"id":1,"id":1}`, err: `duplicate object member name`},
		"two objects":          {line: `{"specversion":"1.0"} {}`, err: "found 2 bytes behind the object"},
		"a list":               {line: `[{}]`, err: "found JSON that is no object"},
		"neither":              {line: `{"id":"a"}`, err: `"id": found a member that is not known`},
		"nothing":              {line: `{}`, err: "found neither specversion nor subject"},
		"another subject":      {line: `{"subject":"orders.1.x","data":{}}`, err: `subject: found "orders.1.x", want controlplane.account.`},
		"a stored subject":     {line: `{"subject":"controlplane.3.account.` + account(0) + `","data":{}}`, err: `subject: found`},
		"a wildcard":           {line: `{"subject":"controlplane.account.*","data":{}}`, err: `subject: found`},
		"no payload":           {line: `{"subject":"` + subject + `","data":null}`, err: "found neither data nor data_base64"},
		"two payloads":         {line: `{"subject":"` + subject + `","data":{},"data_base64":"e30="}`, err: "found both data and data_base64"},
		"no base64":            {line: `{"subject":"` + subject + `","data_base64":"e30"}`, err: "data_base64: found what is no base64"},
		"a header of NATS'":    {line: `{"subject":"` + subject + `","headers":{"nats-Rollup":"all"},"data":{}}`, err: `headers: found "nats-Rollup", want none of the server's own`},
		"a header's name":      {line: `{"subject":"` + subject + `","headers":{"a b":"c"},"data":{}}`, err: `headers: found the name "a b"`},
		"a header's value":     {line: `{"subject":"` + subject + `","headers":{"a":"b\r\nNats-Rollup: all"},"data":{}}`, err: `headers: a: found a value with a line's end`},
		"a number as a header": {line: `{"subject":"` + subject + `","headers":{"a":1},"data":{}}`, err: `headers: a: found another JSON value`},
		"a list of numbers":    {line: `{"subject":"` + subject + `","headers":{"a":[1]},"data":{}}`, err: `headers: a: found a list of something else`},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := parse([]byte(tc.line))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, e.message); diff != "" || e.id != tc.id {
				t.Errorf("id %q; -want +got:\n%s", e.id, diff)
			}
			if (e.park == nil) != (tc.park == "") || e.park != nil && !strings.Contains(e.park.Error(), tc.park) {
				t.Errorf("parked for %v, want %q", e.park, tc.park)
			}
		})
	}
}

// TestWhatLinesAre: ends of lines, empty lines, and where each begins, plain and
// compressed, in pieces of every size.
func TestWhatLinesAre(t *testing.T) {
	long := strings.Repeat("x", 600<<10)
	in := "a\r\n\n  \r\n b \n" + long + "\nend"
	type line struct {
		Text           string
		Number, Offset int64
	}
	want := []line{{"a", 1, 0}, {"b", 4, 8}, {long, 5, 12}, {"end", 6, int64(13 + len(long))}}
	for name, in := range map[string]string{"plain": in, "gzip": gzipped(t, in), "two members": gzipped(t, in[:6]) + gzipped(t, in[6:])} {
		l, err := newLineReader(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		var got []line
		for {
			text, number, offset, err := l.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, line{string(text), number, offset})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	cut := gzipped(t, in)
	for name, tc := range map[string]struct{ in, want string }{
		"too long": {strings.Repeat("x", MaxLine+3), "found more than 16777216 bytes"},
		"cut off":  {cut[:len(cut)-20], "it is gzip, and ends in the middle"},
		"no gzip":  {"\x1f\x8bhello, this is none", "it begins as gzip does"},
	} {
		l, err := newLineReader(strings.NewReader(tc.in))
		for err == nil {
			_, _, _, err = l.next()
		}
		if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

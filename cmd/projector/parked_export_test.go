package main

import (
	"testing"

	"accountexport/readmodel/admin"
)

// TestLinesOfParkedMessages: whatever a payload is, the line holds it to the byte, but for
// white space between tokens of JSON, and headers of the server's own are left out.
func TestLinesOfParkedMessages(t *testing.T) {
	for _, c := range []struct{ headers, payload, want string }{
		{"", `{"b":1, "a":1.50}`, `{"subject":"s","data":{"b":1,"a":1.50}}`},
		{"", "{\n \"b\": \"\\u0041\"\r\n}\n", `{"subject":"s","data":{"b":"\u0041"}}`},
		{"", `[1]`, `{"subject":"s","data":[1]}`},
		{"", `{"a":1,"a":2}`, `{"subject":"s","data":"{\"a\":1,\"a\":2}"}`},
		{"", `null`, `{"subject":"s","data":"null"}`},
		{"", `"text"`, `{"subject":"s","data":"\"text\""}`},
		{"", "no JSON\n", `{"subject":"s","data":"no JSON\n"}`},
		{"", "", `{"subject":"s","data":""}`},
		{"", "\xff\x00", `{"subject":"s","data_base64":"/wA="}`},
		{"Content-Type: application/json\r\nNats-Msg-Id: 1\r\nce-id: a: b\r\nnats-x: y\r\nx: 1\r\nx: 2\r\n", `1`,
			`{"subject":"s","headers":{"Content-Type":"application/json","ce-id":"a: b","x":["1","2"]},"data":1}`},
	} {
		got, err := parkedImportLine(admin.Parked{Subject: "s", Headers: c.headers, Payload: []byte(c.payload)})
		if err != nil || string(got) != c.want+"\n" {
			t.Errorf("%q with %q: %v\n%s want\n%s", c.payload, c.headers, err, got, c.want)
		}
	}
}

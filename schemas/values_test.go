package schemas_test

import (
	"fmt"
	"strings"
	"testing"

	"accountexport/events"
)

// values are what a field may be given: of every kind, at both ends of what is
// allowed and just beyond, and some that only look right.
func values() []string {
	quoted := func(s string) string { return `"` + s + `"` }
	all := []string{"null", "true", "false", "{}", `{"a":null}`, "[]", `""`, `" "`, `"true"`, `"null"`, `"{}"`,
		"0", "1", "-0", "-1", "00", "0.0", "1.0", "1e0", "1e2", "1e400", "1E-6", "0.5", "0.000001", "0.0000001", "1.000000", "1.0000000", "-0.000001",
		"9007199254740991", "9007199254740992", "9007199254740991.5", "999999999999", "999999999999.999999", "1000000000000", "1000000000001", `"1"`, `"0.5"`,
		quoted(`\u0000`), quoted(`a\u0000b`), quoted(`\u0085\n\u007f`), quoted(`\u2028`), quoted("pro+"), quoted("A-Z_9"), quoted("é")}
	for _, n := range []int{1, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025} {
		all = append(all, quoted(strings.Repeat("x", n)), quoted(strings.Repeat("😀", n)), quoted(strings.Repeat(`\u00e9`, n)))
	}
	const id = "74c38c41-1961-4698-82a7-af9eab79b005"
	for _, s := range []string{id, strings.ToUpper(id), id + "0", id[1:], "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""),
		strings.Replace(id, "7", "g", 1), strings.Replace(id, "-", "_", 1), "00000000-0000-0000-0000-000000000000", " " + id, id + `\n`} {
		all = append(all, quoted(s))
	}
	for _, s := range []string{"2026-03-25", "2026-3-25", "2026-02-29", "2028-02-29", "2000-02-29", "1900-02-29", "0000-02-29", "0001-01-01", "0000-12-31",
		"9999-12-31", "10000-01-01", "2026-00-10", "2026-13-10", "2026-04-31", "2026-01-32", "2026-01-00", "2026-12-31", "-001-01-01", "20260325"} {
		all = append(all, quoted(s), quoted(s+"T07:10:47Z"), quoted(s+"T23:59:59.999999999+23:59"), quoted(s+"T00:00:00-00:01"))
	}
	for _, s := range []string{"T24:00:00Z", "T23:60:00Z", "T23:59:60Z", "t23:59:59Z", "T23:59:59z", "T23:59:59", "T23:59:59.Z", "T23:59:59,5Z", "T23:59Z", " 23:59:59Z",
		"T23:59:59+24:00", "T23:59:59+00:60", "T23:59:59-00:00", "T23:59:59+0000", "T23:59:59+00", "T3:59:59Z", "T23:59:59.5+05:45", `T23:59:59Z\n`} {
		all = append(all, quoted("2026-03-25"+s))
	}
	return all
}

// sample is a value that a field of the kind may have.
func sample(k events.Kind) string {
	switch k {
	case events.KindUUID:
		return `"74c38c41-1961-4698-82a7-af9eab79b005"`
	case events.KindTime:
		return `"2026-03-25T07:10:47Z"`
	case events.KindDate:
		return `"2026-03-25"`
	case events.KindInteger, events.KindDecimal:
		return "7"
	case events.KindBoolean:
		return "true"
	case events.KindObject:
		return `{"a":[1,null]}`
	}
	return `"pro"`
}

// TestEveryValueOfEveryField gives every field of every type, and every attribute of
// an event of either kind of subject, each value, and leaves it out: what the decoder accepts two validators accept, and
// what it refuses they refuse, but for what is on the list.
func TestEveryValueOfEveryField(t *testing.T) {
	t.Parallel()
	const account = "64c38c41-1961-4698-82a7-af9eab79b005"
	var all []judged
	for _, typ := range events.Types() {
		fields := events.Fields(typ)
		// add makes the event with one member of its data, or attribute, that is another.
		add := func(name, value string, inData bool) {
			subject, data := "controlplane.account."+account, []string{}
			for _, f := range fields {
				v := sample(f.Kind)
				if inData && f.Name == name {
					v = value
				}
				if f.Kind == events.KindTierID {
					subject = "controlplane.quota_tier." + strings.Trim(v, `"`)
				}
				if v != "" {
					data = append(data, `"`+f.Name+`":`+v)
				}
			}
			envelope := []string{}
			for _, a := range [][2]string{{"specversion", `"1.0"`}, {"id", `"1"`}, {"source", `"/s"`}, {"type", `"` + typ + `"`}, {"time", sample(events.KindTime)},
				{"partitionkey", ""}, {"datacontenttype", ""}, {"data_base64", ""}, {"data", "{" + strings.Join(data, ",") + "}"}} {
				if !inData && a[0] == name {
					a[1] = value
				}
				if a[1] != "" {
					envelope = append(envelope, `"`+a[0]+`":`+a[1])
				}
			}
			m := events.Message{Subject: subject, Data: []byte("{" + strings.Join(envelope, ",") + "}")}
			if j := judge(t, m); j.seen() {
				all = append(all, j)
			}
		}
		for _, value := range append(values(), "") {
			for _, f := range fields {
				add(f.Name, value, true)
			}
			if typ != events.TypeAccountErased && typ != events.TypeQuotaTierDefined {
				continue
			}
			for _, a := range []string{"specversion", "id", "source", "time", "partitionkey", "datacontenttype", "data_base64", "data"} {
				add(a, value, false)
			}
		}
		for _, value := range []string{account, strings.ToUpper(account), "pro", "pro+", "application/json", "text/json; charset=x", "application/vnd.x+json", "application/x+Json ;",
			"application/+json", "+/+json", "a/b/json", "json", "application/json5", "a,b/json", " application/json", "application /json", "application/ json", "ä/json", `a/json;\u0085`} {
			add("partitionkey", `"`+value+`"`, false)
			add("datacontenttype", `"`+value+`"`, false)
		}
	}
	var texts []text
	for _, j := range all {
		texts = append(texts, j.text)
	}
	plain, formats := newAjv(t).accepts(t, texts)
	accepted := 0
	for i, j := range all {
		err := inGo(t, j.text)
		says := fmt.Sprintf("ajv: %v, with formats: %v; in Go: %v", plain[i], formats[i], err)
		for _, ok := range []bool{err == nil, plain[i], formats[i]} {
			if wrong := j.expect(ok); wrong != "" {
				t.Errorf("%.500s\n%s\n%s", j.text.json, wrong, says)
				break
			}
		}
		if j.reason == nil {
			accepted++
		}
	}
	if refused := len(all) - accepted; accepted < 3000 || refused < 9000 {
		t.Errorf("only %d accepted and %d refused", accepted, refused)
	}
}

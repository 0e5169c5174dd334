package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
)

// TestHints: what is typical of how an SDK was called has its hint, beside the reason, and
// what is not has none.
func TestHints(t *testing.T) {
	usage := func(creates, hours string) string {
		return structuredEvent("u", "quota_usage.recorded", `{"team_id":"`+team+`","usage_date":"2026-03-25","sandbox_creates":`+creates+`,"gb_hours":`+hours+`}`)
	}
	email := structuredEvent("e", "user.email_changed", `{"email":"a@example.org"}`)
	at := func(s string) string { return strings.Replace(email, `"2026-03-25T07:11:48Z"`, s, 1) }
	binary := func(more, data string) string {
		return `{"subject":"controlplane.account.` + someone + `","headers":{"ce-specversion":"1.0","ce-id":"b","ce-source":"/s","ce-type":"controlplane.user.email_changed.v1","ce-time":"2026-03-25T07:11:48Z"` + more + `},"data":` + data + `}`
	}
	for name, tc := range map[string]struct{ in, want string }{
		"nothing is wrong":              {email, ""},
		"another reason":                {structuredEvent("e", "user.email_changed", `{"email":true}`), ""},
		"a batch":                       {"[" + email + ",\n" + email + "]", "a batch: publish each"},
		"a batch by its content type":   {`{"subject":"controlplane.account.` + someone + `","headers":{"Content-Type":"application/cloudevents-batch+json"},"data":[]}`, "a batch: publish each"},
		"a list that is broken":         {"[1,", ""},
		"a number of the nats CLI":      {"[#7]", "what the nats CLI prints for people"},
		"a number of its stream view":   {"[7]", "what the nats CLI prints for people"},
		"a line of the nats CLI":        {`Received on "controlplane.account.x"`, "what the nats CLI prints for people"},
		"a list of numbers":             {"[7,8]", ""},
		"a byte order mark":             {"\xEF\xBB\xBF" + email, "it begins with a byte order mark"},
		"headers of Kafka":              {strings.ReplaceAll(binary("", `{"email":"a@example.org"}`), `"ce-`, `"ce_`), "its headers begin with ce_"},
		"headers of AMQP":               {strings.ReplaceAll(binary("", `{"email":"a@example.org"}`), `"ce-`, `"cloudEvents_`), "its headers begin with cloudEvents_"},
		"the data alone":                {`{"email":"a@example.org"}`, "this looks like the data alone"},
		"an empty payload":              {binary("", `""`), "the payload is empty"},
		"an empty payload, raw":         {"nil body", "the payload is empty"},
		"bytes that are an object":      {strings.Replace(email, `"data":{"email":"a@example.org"}`, `"data_base64":"e30="`, 1), "the SDK was given bytes for data|the bytes are a JSON object"},
		"bytes that are none":           {strings.Replace(email, `"data":{"email":"a@example.org"}`, `"data_base64":"AAAA"`, 1), "the SDK was given bytes for data"},
		"no data":                       {strings.Replace(structuredEvent("e", "user.restored", `null`), `"data":null`, `"data":null`, 1), "SDKs leave data out"},
		"a text of JSON":                {structuredEvent("e", "user.email_changed", `"{\"email\":\"a@example.org\"}"`), "it was made JSON twice"},
		"a text of JSON in binary mode": {binary("", `"\"{\\\"email\\\":\\\"a@example.org\\\"}\""`), "it was made JSON twice"},
		"a text":                        {structuredEvent("e", "user.email_changed", `"hello"`), ""},
		"content type":                  {strings.Replace(email, `{"specversion"`, `{"datacontenttype":"text/plain","specversion"`, 1), "set application/json as datacontenttype"},
		"content type in binary mode":   {binary(`,"Content-Type":"text/plain"`, "{}"), "send application/json as Content-Type"},
		"upper case":                    {strings.ReplaceAll(email, someone, strings.ToUpper(someone)), "the account's UUID is in lower case"},
		"upper case in partitionkey":    {binary(`,"ce-partitionkey":"`+strings.ToUpper(someone)+`"`, "{}"), "the account's UUID is in lower case"},
		"a UUID without dashes":         {strings.ReplaceAll(email, someone, strings.ReplaceAll(someone, "-", "")), "the UUID is spelled otherwise"},
		"a UUID in braces":              {strings.ReplaceAll(usage("1", "1"), team, "{"+team+"}"), "the UUID is spelled otherwise"},
		"a time without a zone":         {at(`"2026-03-25T07:11:48.123456"`), "it has no zone"},
		"a time with a space":           {at(`"2026-03-25 07:11:48Z"`), "not a space"},
		"a time of PostgreSQL":          {at(`"2026-03-25 07:11:48.123+00"`), "the offset has minutes"},
		"a time with neither":           {at(`"2026-03-25 07:11:48"`), "there is a T between date and time, and a zone"},
		"a day":                         {at(`"2026-03-25"`), "it is a day alone"},
		"a time in lower case":          {at(`"2026-03-25t07:11:48z"`), "T and Z are upper case"},
		"seconds":                       {at(`1774422708`), "not a number of seconds"},
		"milliseconds as text":          {at(`"1774422708123"`), "not a number of seconds"},
		"a time in data":                {structuredEvent("e", "user.deletion_scheduled", `{"delete_scheduled_at":"2026-03-25T07:11:48"}`), "it has no zone"},
		"a time in a header":            {strings.Replace(binary("", "{}"), "07:11:48Z", "07:11:48", 1), "it has no zone"},
		"an integer as text":            {usage(`"3"`, "1"), "it is a number between quotes"},
		"a decimal as text":             {usage("3", `"0.5"`), "it is a number between quotes"},
		"a float":                       {usage("3.0", "1"), "it is written as a floating-point number"},
		"a float with an exponent":      {usage("1e+06", "1"), "it is written as a floating-point number"},
		"too many digits":               {usage("3", "0.30000000000000004"), "more than six digits"},
		"a decimal with an exponent":    {usage("3", "1e-6"), "written with an exponent"},
		"camel case":                    {structuredEvent("e", "user.deletion_scheduled", `{"deleteScheduledAt":"2026-03-25T07:11:48Z"}`), "there is a member deleteScheduledAt"},
		"Go's names":                    {strings.Replace(usage("1", "1"), "team_id", "TeamID", 1), "there is a member TeamID"},
		"an attribute":                  {strings.Replace(email, "specversion", "specVersion", 1), "there is a member specVersion"},
		"nobody's":                      {strings.Replace(email, `"partitionkey"`, `"partition"`, 1), "add partitionkey"},
		"nobody's tier":                 {`{"specversion":"1.0","id":"q","source":"/s","type":"controlplane.quota_tier.defined.v1","time":"2026-03-25T07:11:48Z","data":{"id":"pro","display_name":"Pro","max_concurrent_sandboxes":1,"daily_sandbox_creates":1,"daily_gb_hours":1}}`, "add partitionkey, the tier's id"},
		"bytes that JSON has lost":      {dumpLine(t, events.Message{Subject: "controlplane.account." + someone, Header: map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {"a\xff%C3"}}}), "the dump has lost bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			v := checked(t, &Checker{}, tc.in)
			if len(v) != 1 {
				t.Fatalf("%+v", v)
			}
			said := strings.Join(v[0].Hints, "|")
			if tc.want == "" && said != "" {
				t.Errorf("%q for %s", said, v[0].Reason)
			}
			for want := range strings.SplitSeq(tc.want, "|") {
				if !strings.Contains(said, want) {
					t.Errorf("%q for %s, want %q", said, v[0].Reason, want)
				}
			}
			if tc.want != "" && len(v[0].Hints) != 1 {
				t.Errorf("%d hints: %q", len(v[0].Hints), v[0].Hints)
			}
		})
	}
}

// TestTheSameID: two events with one id are told, since only the first would be stored.
func TestTheSameID(t *testing.T) {
	e := structuredEvent("e", "user.restored", `{}`)
	got := checked(t, &Checker{}, e+"\n\n"+e)
	if len(got[0].Hints) != 0 || len(got[1].Hints) != 1 || !strings.HasPrefix(got[1].Hints[0], "the id is that of in:1, too: JetStream drops the second") {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]int64{1, 3}, []int64{got[0].Line, got[1].Line}); diff != "" {
		t.Error(diff)
	}
}

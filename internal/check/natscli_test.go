package check

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// fromCLI are messages of a stream, in structured and in binary mode, and what is said
// of them.
func fromCLI(t *testing.T) (all []events.Message, outcomes []string) {
	t.Helper()
	own := "controlplane.account." + someone
	registered := events.Message{Subject: own, Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}},
		Data: []byte(structuredEvent("1", "user.registered", `{"email":"a@example.org","tier":"free","quota_tier_id":"free"}`))}
	verified, err := events.Message{Subject: own, Data: []byte(structuredEvent("é 2", "user.email_verified", `{}`))}.Binary()
	if err != nil {
		t.Fatal(err)
	}
	pretty := strings.ReplaceAll(structuredEvent("3", "sandbox.started", `{"id":"s"}`), `,"`, ",\n  \"")
	return []events.Message{registered, verified, {Subject: own, Data: []byte(pretty)}, {Subject: own, Data: []byte(structuredEvent("4", "user.restored", `7`))}},
		[]string{"applied", "applied", "deferred", "parked"}
}

// TestWhatTheNATSCLIHasWritten: dumps that the nats CLI (0.5.0) wrote of a stream with
// these messages; TestNATSCLI has it write them again.
func TestWhatTheNATSCLIHasWritten(t *testing.T) {
	for name, stored := range map[string]bool{"dump": false, "dump-of-the-stream": true, "get": true} {
		b, err := os.ReadFile(filepath.Join("testdata", "nats-cli", name))
		if err != nil {
			t.Fatal(err)
		}
		holdsCLI(t, name, bytes.ReplaceAll(b, []byte(shownZero), []byte{0}), name == "get", stored)
	}
	b, err := os.ReadFile("testdata/nats-cli/raw")
	if err != nil {
		t.Fatal(err)
	}
	holdsRaw(t, b)
}

// shownZero stands for a zero byte in testdata, which is text.
const shownZero = "␀\n"

// holdsCLI compares what is said of a dump with what should be.
func holdsCLI(t *testing.T, name string, dump []byte, positions, stored bool) {
	t.Helper()
	_, want := fromCLI(t)
	got := checked(t, &Checker{}, string(dump))
	var outcomes []string
	for i, v := range got {
		outcomes = append(outcomes, v.Outcome)
		if v.Subject != "controlplane.account."+someone || (v.Position == uint64(i+1)) != positions {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if !slices.Equal(outcomes, want) {
		t.Errorf("%s: %v, want %v: %+v", name, outcomes, want, got)
	}
	if inStream := bytes.Contains(dump, []byte(`"controlplane.4.account.`)); inStream != stored { // as the partition is of 16
		t.Errorf("%s: subjects as the stream stores them: %v, want %v\n%s", name, inStream, stored, dump)
	}
}

// holdsRaw: payloads alone are read; that in binary mode is taken for what it looks like.
func holdsRaw(t *testing.T, dump []byte) {
	t.Helper()
	_, want := fromCLI(t)
	want[1] = "parked"
	got := checked(t, &Checker{}, string(dump))
	var outcomes []string
	for _, v := range got {
		outcomes = append(outcomes, v.Outcome)
	}
	if !slices.Equal(outcomes, want) || len(got) > 1 && !strings.Contains(strings.Join(got[1].Hints, ""), "`nats sub --dump=-` does") {
		t.Errorf("%v, want %v: %+v", outcomes, want, got)
	}
}

// TestNATSCLI has the nats CLI print what a real server holds, in every form that is
// read. With UPDATE set it writes testdata.
func TestNATSCLI(t *testing.T) {
	nats := testrun.Tool(t, "nats", "go install github.com/nats-io/natscli/nats@v0.5.0")
	srv := natsserver.ForTest(t)
	client, err := stream.Connect(t.Context(), stream.Config{URL: srv.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(ctx, nats, append([]string{"--server", srv.URL()}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("nats %q: %v: %s%s", args, err, out, stderr.String())
		}
		return out
	}
	all, _ := fromCLI(t)
	before := srv.Subscriptions()
	core := make(chan []byte, 1)
	go func() { core <- run("sub", "controlplane.account.*", "--dump=-", "--count="+strconv.Itoa(len(all))) }()
	testrun.Eventually(t, "the subscription", func() bool { return srv.Subscriptions() > before })
	var get []byte
	for i, m := range all {
		position, err := client.PublishRaw(t.Context(), m)
		if err != nil || position != uint64(i+1) {
			t.Fatal(position, err)
		}
		get = append(get, run("stream", "get", "CONTROL_PLANE", strconv.Itoa(i+1), "--json")...)
	}
	count := "--count=" + strconv.Itoa(len(all))
	dumps := map[string][]byte{"dump": <-core, "get": get,
		"dump-of-the-stream": run("sub", "controlplane.*.account.*", "--stream=CONTROL_PLANE", "--all", "--dump=-", count),
		"raw":                run("sub", "controlplane.*.account.*", "--stream=CONTROL_PLANE", "--all", "--raw", count)}
	holdsCLI(t, "dump", dumps["dump"], false, false)
	holdsCLI(t, "dump-of-the-stream", dumps["dump-of-the-stream"], false, true)
	holdsCLI(t, "get", dumps["get"], true, true)
	holdsRaw(t, dumps["raw"])

	dir := t.TempDir()
	run("sub", "controlplane.*.account.*", "--stream=CONTROL_PLANE", "--all", "--dump="+dir, count)
	for i := range all {
		b, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i+1)+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if v := checked(t, &Checker{}, string(b)); len(v) != 1 || v[0].Subject != "controlplane.account."+someone {
			t.Errorf("a file of a dump: %+v", v)
		}
	}
	if os.Getenv("UPDATE") != "" {
		for name, b := range dumps {
			if err := os.WriteFile(filepath.Join("testdata", "nats-cli", name), bytes.ReplaceAll(b, []byte{0}, []byte(shownZero)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAgainstTheStream: what an account has decides, whatever else the stream holds.
func TestAgainstTheStream(t *testing.T) {
	client, err := stream.Connect(t.Context(), stream.Config{URL: natsserver.ForTest(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _ := fromCLI(t)
	other := strings.ReplaceAll(structuredEvent("o", "account.erased", "{}"), someone, team)
	for _, m := range append(all, events.Message{Subject: "controlplane.account." + team, Data: []byte(other)}) {
		if _, err := client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	in := strings.Join([]string{string(all[0].Data), structuredEvent("5", "sandbox.created", `{"id":"s","template":"t"}`), structuredEvent("6", "sandbox.started", `{"id":"s"}`),
		strings.ReplaceAll(structuredEvent("7", "user.restored", `7`), someone, team)}, "\n")
	for name, tc := range map[string]struct {
		history History
		want    []string
	}{
		"alone":              {nil, []string{"applied", "applied", "applied", "parked"}},
		"against the stream": {client, []string{"duplicate", "applied", "applied", "ignored"}},
	} {
		var got []string
		for _, v := range checked(t, &Checker{Stream: tc.history}, in) {
			got = append(got, v.Outcome)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	n := 0
	if err := client.ReadAll(t.Context(), func(projections.Message) error { n++; return nil }); err != nil || n != len(all)+1 {
		t.Errorf("the stream holds %d messages, %v: checking only reads", n, err)
	}
}

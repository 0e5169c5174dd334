package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli/clitest"
	"accountexport/internal/findings"
	"accountexport/internal/local/postgres"
	"accountexport/internal/settings"
)

func TestMain(m *testing.M) { clitest.Main(withPostgres{m}, "projector", main) }

// withPostgres are tests that may have databases.
type withPostgres struct{ *testing.M }

func (m withPostgres) Run() int { return postgres.Main(m.M) }

// tree is the program's tree of commands.
func tree() *cobra.Command { return commands(nil, &bytes.Buffer{}, &bytes.Buffer{}).Root }

// theProgram has servers that are not there: a command that begins ends with 1.
func theProgram() clitest.Program {
	return clitest.Program{
		Name: settings.ForProjector, Root: tree, Run: run,
		Settings: map[string]clitest.Values{
			"DATABASE_URL":        {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"DATABASE_DIRECT_URL": {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"OUTBOX_DATABASE_URL": {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"NATS_URL":            {Right: "nats://127.0.0.1:1", Wrong: "http://127.0.0.1:1"},
			"NATS_CREDS":          {Right: "", Wrong: "/dev/null"}, // each of these would be who the projector is: one at most
			"NATS_NKEY":           {Right: "", Wrong: "/no/such/file"},
			"NATS_USER":           {Right: "", Wrong: "u\nv"},
			"NATS_PASSWORD":       {Right: "", Wrong: "hunter2\n"},
			"NATS_TOKEN":          {Right: "", Wrong: "hunter2\n"},
			"NATS_CA":             {Right: "", Wrong: "/dev/null"},
			"NATS_CERT":           {Right: "", Wrong: "/no/such/file"},
			"NATS_KEY":            {Right: "", Wrong: "/no/such/file"},
			"NATS_CONTEXT":        {Right: "", Wrong: "no-such-context"},
			"NATS_JS_DOMAIN":      {Right: "hub", Wrong: "a.b"},
			"NATS_JS_PREFIX":      {Right: "", Wrong: "a.*"},
			"STREAM":              {Right: "S", Wrong: "a.b"},
			"ADMIN_ADDR":          {Right: "127.0.0.1:0", Wrong: "9091"},
			"LANES":               {Right: "1", Wrong: "65"},
			"MEMORY_LIMIT":        {Right: "512MiB", Wrong: "much"},
			"STATE_CACHE_BYTES":   {Right: "16MiB", Wrong: "1k"},
			"BATCH_EVENTS":        {Right: "10", Wrong: "0"},
			"BATCH_BYTES":         {Right: "1MiB", Wrong: "1"},
			"AUDIT_RATE":          {Right: "0", Wrong: "-1"},
			"AUDIT_BYTES":         {Right: "2MiB", Wrong: "1"},
			"COMPRESS_BYTES":      {Right: "0", Wrong: "-1"},
			"TAKEOVER_AFTER":      {Right: "5s", Wrong: "5"},
			"CONSOLE_ADDR":        {Right: "127.0.0.1:0", Wrong: "9093"},
			"CONSOLE_USER_HEADER": {Right: "X-User", Wrong: "a b"},
			"TRUSTED_PROXIES":     {Right: "127.0.0.1", Wrong: "10.0.0.1/8"},
			"CONSOLE_PRIVACY":     {Right: "full", Wrong: "none"},
			"SHUTDOWN_TIMEOUT":    {Right: "1s", Wrong: "0s"},
			"LOG_LEVEL":           {Right: "error", Wrong: "nonsense"},
			"LOG_FORMAT":          {Right: "json", Wrong: "xml"},

			"OTEL_EXPORTER_OTLP_ENDPOINT":    {Right: "http://127.0.0.1:1", Wrong: "127.0.0.1:4318"},
			"OTEL_EXPORTER_OTLP_PROTOCOL":    {Right: "http/protobuf", Wrong: "https"},
			"OTEL_EXPORTER_OTLP_HEADERS":     {Right: "authorization=Bearer%20x", Wrong: "hunter2"},
			"OTEL_EXPORTER_OTLP_CERTIFICATE": {Right: "", Wrong: "/no/such/file"},
			"OTEL_SERVICE_NAME":              {Right: "projector", Wrong: "a\nb"},
			"OTEL_RESOURCE_ATTRIBUTES":       {Right: "deployment.environment.name=test", Wrong: "hunter2"},
			"OTEL_TRACES_SAMPLER":            {Right: "traceidratio", Wrong: "sometimes"},
			"OTEL_TRACES_SAMPLER_ARG":        {Right: "0.5", Wrong: "2"},
			"OTEL_SDK_DISABLED":              {Right: "true", Wrong: "yes"},
		},
		Stand: map[string]string{"ID": "3c90c3cc-0d44-4b50-8888-8dd25736052a", "POSITION": "1", "GENERATION": "1", "TEXT": "seen to", "FILE": "/no/such/file", "WORD": "pause"},
	}
}

func TestFlagsOverrideTheEnvironment(t *testing.T) {
	t.Parallel()
	theProgram().FlagsOverride(t)
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	theProgram().SecretsAreHidden(t)
}

func TestHelpNeedsNothing(t *testing.T) {
	t.Parallel()
	theProgram().HelpNeedsNothing(t)
}

func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	theProgram().ExamplesAreRight(t)
}

func TestDocumentedCallsAreRight(t *testing.T) {
	t.Parallel()
	theProgram().DocumentedCallsAreRight(t, "../..")
}

// TestReferenceNamesEveryStatus: doc/reference.md says each exit status in the
// program's own words, and doc/operating.md what to do then.
func TestReferenceNamesEveryStatus(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../../doc/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../doc/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range findings.Refusals() {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \| .*refused.*: %s`, r.Exit, regexp.QuoteMeta(r.Err.Error())))
		if !row.Match(reference) {
			t.Errorf("doc/reference.md has no row of status %d with %q", r.Exit, r.Err)
		}
		if !bytes.Contains(manual, fmt.Appendf(nil, "\n| %d | ", r.Exit)) {
			t.Errorf("doc/operating.md has no row of status %d", r.Exit)
		}
	}
}

// TestReferenceNamesEveryWordOfTheAudit: doc/reference.md says of each word what it stands
// for, and of each outcome.
func TestReferenceNamesEveryWordOfTheAudit(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../../doc/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := bytes.Cut(reference, []byte("\n### The audit\n"))
	section, _, _ = bytes.Cut(section, []byte("\n### "))
	for _, word := range append(acts.AuditWords(), acts.OutcomeBegun, acts.OutcomeDone, acts.OutcomeRefused, acts.OutcomeFailed) {
		if !bytes.Contains(section, []byte("`"+word+"`")) {
			t.Errorf("doc/reference.md does not say what %s is", word)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

func (p *program) parkedExport() *cobra.Command {
	f := &parkedFilters{}
	cmd := &cobra.Command{
		Use:   "export (POSITION|FILTER|--all) [--dismissed]",
		Short: "Print parked messages whole as lines to import, to be corrected; they may hold secrets",
		Long: "Prints those that count, or with --dismissed those that were dismissed, in stream order: a line of JSON each, with\n" +
			"subject, headers and data, which `projector import` takes once it is corrected. Nothing is masked: keep the file as you\n" +
			"would keep the stream. Headers of the server's own (Nats-…) are left out, and what is no\n" +
			"UTF-8 in another is U+FFFD.\n\n" +
			"Correct the lines, give each event an id of its own that follows from the one it has (1234 becomes 1234-corrected): by\n" +
			"the same id JetStream takes it for the message that it has, and a second run of the same correction is found by the\n" +
			"new one. What is imported comes last in its account, also after what the producer has published since." + parkedFilterHelp,
		Example: `  # What one bad deploy has parked.
  projector parked export --reason 'data.email: found an object' > parked.ndjson
  # Would they be accepted as they are now corrected?
  projector check --strict corrected.ndjson --against-stream
  # Publish them, each once, however often it is called.
  projector import corrected.ndjson`,
		Args: f.args,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			if err := p.look(ctx, pool, acts.ParkedExported, f.Account, f.detailOf()); err != nil {
				return err
			}
			n := 0
			err := admin.ReadParked(ctx, pool, f.ParkedFilter, func(m admin.Parked) error {
				n++
				line, err := parkedImportLine(m)
				if err == nil {
					_, err = cli.Exact(p.out).Write(line)
				}
				return err
			})
			if err != nil || n > 0 {
				return err
			}
			return p.noneToExport(ctx, pool, f)
		}),
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all that is parked and counts")
	cmd.Flags().BoolVar(&f.Dismissed, "dismissed", false, "those that were dismissed, instead of those that count")
	return cmd
}

// noneToExport is the error where the flags select nothing: there may be messages that
// they take, of which only the other kind, dismissed or not, is there.
func (p *program) noneToExport(ctx context.Context, pool *pgxpool.Pool, f *parkedFilters) error {
	other := f.ParkedFilter
	other.Dismissed = false
	all, err := admin.SelectParked(ctx, pool, other)
	switch {
	case err != nil:
		return err
	case len(all.Messages) > 0 && f.Dismissed:
		return fmt.Errorf("%d parked messages are meant, and none of them was dismissed", len(all.Messages))
	case len(all.Messages) > 0:
		return fmt.Errorf("%d parked messages are meant, and all of them were dismissed: --dismissed prints those", len(all.Messages))
	}
	return f.noneSelected(&acts.NoneParked{Of: all.Total})
}

// lineToImport is a message as `projector import` takes it. The order of the members is
// that of the documents.
type lineToImport struct {
	Subject string                    `json:"subject"`
	Headers map[string]jsontext.Value `json:"headers,omitempty"`
	Data    jsontext.Value            `json:"data,omitzero"`
	Base64  *string                   `json:"data_base64,omitempty"`
}

// parkedImportLine is the line of a parked message. A payload that is a JSON object, list, number
// or boolean is in it as JSON, without the white space between its tokens; any other text as
// its characters; and what is no text in base64.
func parkedImportLine(m admin.Parked) ([]byte, error) {
	l := lineToImport{Subject: m.Subject}
	var err error
	if l.Headers, err = importHeaders(m.Headers); err != nil {
		return nil, err
	}
	payload := jsontext.Value(bytes.Clone(m.Payload))
	switch {
	case payload.IsValid() && payload.Kind() != '"' && payload.Kind() != 'n':
		l.Data = payload
	case utf8.Valid(m.Payload):
		if l.Data, err = jsontext.AppendQuote(nil, m.Payload); err != nil {
			return nil, err
		}
	default:
		text := base64.StdEncoding.EncodeToString(m.Payload)
		l.Base64 = &text
	}
	line, err := json.Marshal(l, json.Deterministic(true), jsontext.PreserveRawStrings(true))
	return append(line, '\n'), err
}

// importHeaders are stored headers, without the server's own: a text, or a list of texts
// where a name is there more than once.
func importHeaders(stored string) (map[string]jsontext.Value, error) {
	values := map[string][]string{}
	for line := range strings.SplitSeq(stored, "\r\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found || len(name) >= 5 && strings.EqualFold(name[:5], "Nats-") {
			continue
		}
		values[name] = append(values[name], value)
	}
	out := map[string]jsontext.Value{}
	for name, all := range values {
		var v any = all
		if len(all) == 1 {
			v = all[0]
		}
		text, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

package console

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// receipts checks a receipt in every way that it can be given, and one that was changed.
func (s *stack) receipts(t *testing.T, receipt string) {
	for name, text := range map[string]string{
		"as it was printed":             receipt,
		"pasted, as browsers send it":   strings.ReplaceAll(strings.TrimSpace(receipt), "\n", "\r\n"),
		"on one line":                   strings.ReplaceAll(receipt, "\n", ""),
		"changed":                       strings.Replace(receipt, `"messages_left": 0`, `"messages_left": 1`, 1),
		"with something added":          strings.Replace(receipt, "{\n", "{\n  \"note\": \"\",\n", 1),
		"with a copy left out, doubled": strings.Replace(receipt, `"rows_left": 0,`, `"rows_left": 1, "rows_left": 0,`, 1),
		"of another account":            strings.ReplaceAll(receipt, someone, strings.Replace(someone, "3", "4", 1)),
	} {
		genuine := strings.HasPrefix(name, "as it") || strings.HasPrefix(name, "pasted") || strings.HasPrefix(name, "on one")
		var v receiptView
		resp := s.post(t, "/api/erasures/receipt", "application/json", text)
		if err := json.Unmarshal([]byte(resp.body), &v); err != nil || resp.status != http.StatusOK || v.Genuine != genuine {
			t.Errorf("a receipt %s is genuine: %v, want %v: %v\n%s", name, v.Genuine, genuine, err, resp.body)
		}
		for kind, body := range map[string]string{"application/x-www-form-urlencoded": url.Values{"receipt": {text}}.Encode(), "multipart/form-data; boundary=x": upload(t, text)} {
			page := s.post(t, "/erasures/receipt", kind, body)
			if page.status != http.StatusOK || strings.Contains(page.body, "The receipt is genuine") != genuine || !strings.Contains(page.body, "Messages searched") {
				t.Errorf("a receipt %s, by %s: %s", name, kind, page.body)
			}
		}
	}
	for name, text := range map[string]string{"no JSON": "hello", "of nobody": "{}", "nothing": "", "too long": `{"x":"` + strings.Repeat("x", 64<<10) + `"}`,
		"two": receipt + receipt, "a list": "[]"} {
		if resp := s.post(t, "/api/erasures/receipt", "application/json", text); resp.status != http.StatusBadRequest {
			t.Errorf("a receipt that is %s: status %d\n%s", name, resp.status, resp.body)
		}
	}
}

type answer struct {
	status int
	body   string
}

// post posts, as a page of the console's own does.
func (s *stack) post(t *testing.T, path, kind, body string) answer {
	t.Helper()
	resp, err := http.Post(s.url+path, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, b.String()}
}

// upload is a form with a file, within the boundary x.
func upload(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary("x"); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteField("receipt", ""); err != nil {
		t.Fatal(err)
	}
	f, err := w.CreateFormFile("file", "receipt.json")
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

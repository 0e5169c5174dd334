package secret

import (
	"strings"
	"testing"
)

func TestWhatMayHoldASecretIsHidden(t *testing.T) {
	for _, test := range []struct{ text, quoted, url string }{
		{"nonsense", `"nonsense"`, Hidden},
		{"", `""`, Hidden},
		{"a\nb", `"a\nb"`, Hidden},
		{"3c90c3cc-0d44-4b50-8888-8dd25736052a", `"3c90c3cc-0d44-4b50-8888-8dd25736052a"`, Hidden},
		{"10.0.0.0/8, 192.168.0.0/16, fd00::/8, 10.0.0.1/8", `"10.0.0.0/8, 192.168.0.0/16, fd00::/8, 10.0.0.1/8"`, Hidden},
		{"/var/run/secrets/nats/creds/user.creds", `"/var/run/secrets/nats/creds/user.creds"`, Hidden},
		{"/bin/" + strings.Repeat("a/", 50) + "b", `"/bin/` + strings.Repeat("a/", 37) + `a…"`, Hidden},

		{"postgres://u:hunter2@db/x", Hidden, `"postgres://db" (the rest is hidden)`},
		{"postgres://u:hun@ter2@db:5432/x", Hidden, `"postgres://db:5432" (the rest is hidden)`},
		{"postgres://u:1234/hunter2@db", Hidden, Hidden},
		{"postgres://u:1234?hunter2@db", Hidden, Hidden},
		{"postgres://u:1234#hunter2@db", Hidden, Hidden},
		{"postgres://u:1234/hunter2%40db", Hidden, Hidden},
		{"postgres://u:1234 hunter2@db", Hidden, Hidden},
		{"postgres://u:hunter2@db:port/x", Hidden, Hidden},
		{"postgres://db:5432/x?password=hunter2", Hidden, `"postgres://db:5432" (the rest is hidden)`},
		{"jdbc:postgresql://db/x?password=hunter2", Hidden, Hidden},
		{"nats://u:hunter2@a:4222,b:4222", Hidden, Hidden},
		{"nats://a:4222, http://b:4222", Hidden, `"nats://a:4222, http://b:4222"`},
		{"https://app.example.com/", Hidden, `"https://app.example.com/"`},
		{"https://hooks.example.com/hunter2", Hidden, `"https://hooks.example.com" (the rest is hidden)`},
		{"u:hunter2@db", Hidden, Hidden},
		{"host=db password=hunter2", Hidden, Hidden},
		{"user=u", Hidden, Hidden},
		{"Password hunter2", Hidden, Hidden},
		{strings.Repeat("hunter2!", 4), Hidden, Hidden},
		{strings.Repeat("0123456789abcdef", 4), Hidden, Hidden},
		{"/" + strings.Repeat("Hunter2/", 8), Hidden, Hidden},
	} {
		if got := Quote(test.text); got != test.quoted {
			t.Errorf("%s: %s, want %s", test.text, got, test.quoted)
		}
		if got := QuoteURL(test.text); got != test.url {
			t.Errorf("%s as a URL: %s, want %s", test.text, got, test.url)
		}
	}
}

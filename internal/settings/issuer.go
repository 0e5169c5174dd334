package settings

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"accountexport/internal/secret"
)

// deriveIssuer derives from SUPABASE_URL what is not set.
func (s *API) deriveIssuer(values map[string]string) (problems []error) {
	if err := checkProjectURL(s.SupabaseURL); err != nil {
		problems = append(problems, err)
	}
	if s.Issuer == "" && s.SupabaseURL != "" {
		s.Issuer = urlBelow(s.SupabaseURL, authPath)
	}
	switch {
	case values["SUPABASE_URL"] == "" && values["JWT_ISSUER"] == "":
		problems = append(problems, errors.New("SUPABASE_URL is not set: the API has to know who issues its users' "+
			"tokens; set it, or JWT_ISSUER with JWT_JWKS_URL or JWT_SECRET"))
	case values["SUPABASE_URL"] == "" && values["JWT_JWKS_URL"] == "" && values["JWT_SECRET"] == "":
		problems = append(problems, errors.New("JWT_ISSUER is set, but not where its keys are: set JWT_JWKS_URL or JWT_SECRET as well"))
	}
	if strings.HasSuffix(string(s.Issuer), authPath+authPath) || strings.Contains(strings.TrimPrefix(strings.TrimPrefix(string(s.Issuer), "https://"), "http://"), "//") {
		problems = append(problems, fmt.Errorf("JWT_ISSUER is %s, and has a part twice: tokens name their issuer as the project's address and %s, "+
			"such as https://project.supabase.co%s", secret.QuoteURL(string(s.Issuer)), authPath, authPath))
	}
	// A project with a secret may begin to sign with keys of its own at any time, so its
	// key set is used too. Only if JWT_ISSUER alone names the issuer, and there is a
	// secret, is no key set assumed.
	if s.JWKSURL == "" && s.Issuer != "" && (values["JWT_SECRET"] == "" || s.SupabaseURL != "") {
		s.JWKSURL = urlBelow(s.Issuer, "/.well-known/jwks.json")
	}
	return problems
}

// authPath is the path of a project's issuer.
const authPath = "/auth/v1"

// urlBelow returns an address below the project or issuer u. If u is a project's issuer
// already, which people often copy, the issuer's path is not added again.
func urlBelow(u HTTPURL, path string) HTTPURL {
	base := strings.TrimRight(string(u), "/")
	if path == authPath {
		base = strings.TrimRight(strings.TrimSuffix(base, authPath), "/")
	}
	return HTTPURL(base + path)
}

// checkProjectURL refuses an address of another service of the project, or of its page in
// the dashboard.
func checkProjectURL(u HTTPURL) error {
	own, err := url.Parse(string(u))
	if err != nil || u == "" {
		return nil // invalid, which was reported
	}
	path := strings.TrimRight(own.Path, "/")
	for _, wrong := range []string{"/rest/v1", "/storage/v1", "/functions/v1", "/realtime/v1", "/graphql/v1", authPath + "/.well-known/jwks.json"} {
		if strings.HasSuffix(path, wrong) {
			return fmt.Errorf("SUPABASE_URL is %s and ends in %s: it has to be %s, which is what comes before that",
				secret.QuoteURL(string(u)), wrong, rightProject)
		}
	}
	if strings.HasPrefix(path, "/dashboard/") {
		return fmt.Errorf("SUPABASE_URL is %s, a page of the dashboard: it has to be %s", secret.QuoteURL(string(u)), rightProject)
	}
	return nil
}

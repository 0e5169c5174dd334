package e2e

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
)

// privilegesSQL lists who has which privilege on which object of our schemas and on the
// database. Generations are told as one. The owner has all of them, and is left out.
const privilegesSQL = `
WITH ours AS (SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'public') AND nspname !~ '^pg_(toast|temp)'),
objects (name, owner, acl) AS (
    SELECT 'database', datdba, coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT nspname::text, nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM ours
    UNION ALL SELECT format('%s.%s', nspname, relname), relowner, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
        FROM pg_class c JOIN ours ON ours.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT format('%s.%s()', nspname, proname), proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc JOIN ours ON ours.oid = pronamespace
    UNION ALL SELECT format('%s.%s.%s', nspname, relname, attname), relowner, attacl
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN ours ON ours.oid = relnamespace WHERE attacl IS NOT NULL
)
SELECT regexp_replace(o.name, '^export_g\d+', 'export_g<N>'), CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE coalesce(grantee.rolname, '') END,
    coalesce(a.privilege_type, '') || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
FROM objects o LEFT JOIN LATERAL (SELECT * FROM aclexplode(o.acl) a WHERE a.grantee <> o.owner) a ON true LEFT JOIN pg_roles grantee ON grantee.oid = a.grantee
UNION SELECT regexp_replace(o.name, '^export_g\d+', 'export_g<N>'), rolname, 'owner' FROM objects o JOIN pg_roles r ON r.oid = o.owner WHERE o.name <> 'database'`

// unwantedSQL lists what would give rights beside those lists.
const unwantedSQL = `
SELECT 'rights are given to what is made later: ' || defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'SECURITY DEFINER without a fixed search_path that ends in pg_temp: ' || oid::regprocedure FROM pg_proc
    WHERE prosecdef AND pronamespace <> 'pg_catalog'::regnamespace AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
UNION ALL SELECT 'something is in the schema public: ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'an extension: ' || extname FROM pg_extension WHERE extname <> 'plpgsql'
UNION ALL SELECT 'a role with more than a login: ' || rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres'
    AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolcanlogin <> (rolname !~ '^accountexport_'))`

// securedDatabase is a server with the read model in two generations, the outbox, and a
// login for each program, all made as the manuals say.
func securedDatabase(t *testing.T) (s *system, as func(login string) string) {
	t.Helper()
	psql := testrun.Tool(t, "psql", "apt-get install postgresql-client")
	s = newServer(t, postgres.Options{})
	s.publishComplete(t, uuid(t, someone))
	projector := s.startProjector(t)
	s.waitProjected(t)
	s.mustRun(t, 0, "", "rebuild", "--yes")
	projector.stop(t)
	cmd := exec.CommandContext(t.Context(), psql, "-X", "-q", "-f", "../../deploy/logins.sql", s.database)
	cmd.Env = append(os.Environ(), "PROJECTOR_PASSWORD=one", "API_PASSWORD=other")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conn := s.migrateOutbox(t)
	defer conn.Close(context.Background())
	text, err := os.ReadFile("../../outbox/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	grants := regexp.MustCompile(`(?m)^//\t(GRANT .* TO (?:relay|control_plane);)$`).FindAllStringSubmatch(string(text), -1)
	if len(grants) != 5 {
		t.Fatalf("package outbox documents %d grants", len(grants))
	}
	statements := `CREATE ROLE relay LOGIN; CREATE ROLE control_plane LOGIN;`
	for _, g := range grants {
		statements += g[1]
	}
	if _, err := conn.Exec(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	return s, func(login string) string {
		u, err := url.Parse(s.database)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.User(login)
		return u.String()
	}
}

// table is a table of doc/security.md below a heading, of which the cells of the first
// row name the columns.
func table(t *testing.T, heading string) (columns []string, rows [][]string) {
	t.Helper()
	all, err := documents.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Path != "doc/security.md" {
			continue
		}
		_, below, found := strings.Cut(d.Text, "\n"+heading+"\n")
		if !found {
			t.Fatalf("doc/security.md has no %q", heading)
		}
		for line := range strings.Lines(below) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "|") {
				if len(rows) > 0 {
					break
				}
				continue
			}
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i, cell := range cells {
				cells[i] = strings.TrimSpace(cell)
			}
			switch {
			case columns == nil:
				columns = cells
			case strings.HasPrefix(cells[0], "---"):
			default:
				rows = append(rows, cells)
			}
		}
	}
	return columns, rows
}

// TestEveryPrivilegeIsDocumented: the table in doc/security.md says exactly which role has
// which privilege on which object of the catalogue. An object, a role or a privilege
// that it does not have, or has too much, fails the test.
func TestEveryPrivilegeIsDocumented(t *testing.T) {
	t.Parallel()
	s, _ := securedDatabase(t)
	got := map[string][]string{}
	rows, err := s.pool.Query(t.Context(), privilegesSQL)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]bool{}
	var object, role, privilege string
	if _, err := pgx.ForEachRow(rows, []any{&object, &role, &privilege}, func() error {
		objects[object] = true
		if role == "postgres" || privilege == "" { // who provisions, and owns the outbox here
			return nil
		}
		key := object + " | " + role
		got[key] = append(got[key], privilege)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for key := range got {
		slices.Sort(got[key])
	}
	want, documented := map[string][]string{}, map[string]bool{}
	columns, lines := table(t, "### Privileges")
	name := regexp.MustCompile("`([^`]+)`")
	for _, cells := range lines {
		for _, m := range name.FindAllStringSubmatch(cells[0], -1) {
			object := m[1]
			if documented[object] {
				t.Errorf("doc/security.md has %s twice", object)
			}
			documented[object] = true
			for i, role := range columns[1:] {
				if list := cells[i+1]; list != "–" {
					privileges := strings.Split(list, ", ")
					slices.Sort(privileges)
					want[object+" | "+strings.Trim(role, "`")] = privileges
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("privileges, as doc/security.md has them (-) and as they are (+):\n%s", diff)
	}
	if diff := cmp.Diff(documented, objects); diff != "" {
		t.Errorf("objects, as doc/security.md has them (-) and as they are (+):\n%s", diff)
	}
	if len(objects) < 30 {
		t.Errorf("only %d objects were found", len(objects))
	}
	rows, err = s.pool.Query(t.Context(), unwantedSQL)
	if err != nil {
		t.Fatal(err)
	}
	unwanted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range unwanted {
		t.Error(what)
	}
	var members string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(format('%s in %s', member::regrole, roleid::regrole), ', ' ORDER BY member::regrole::text) FROM pg_auth_members
    WHERE roleid::regrole::text !~ '^pg_' AND member::regrole::text <> 'postgres'`).Scan(&members); err != nil || members != "api in accountexport_reader, projector in accountexport_projector" {
		t.Errorf("members of roles: %s (%v)", members, err)
	}
}

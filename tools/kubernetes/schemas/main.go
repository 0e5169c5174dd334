// Command schemas makes the JSON Schemas that deploy/kubernetes is validated by: one file for each
// kind that is used there, complete in itself, from Kubernetes' own OpenAPI description and from the
// definitions of prometheus-operator. It gets both as Go modules, by the go command:
//
//	go run ./schemas ../../deploy/kubernetes/schemas
//
// The schemas are strict: a field that Kubernetes does not know is an error. What the API server checks beyond
// types, such as that a selector matches its template, they do not say.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The versions of what the schemas are made from.
const (
	kubernetes = "k8s.io/kubernetes@v1.36.3"
	operator   = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// kinds are those that deploy/kubernetes uses, by their names in Kubernetes' description.
var kinds = []string{
	"io.k8s.api.apps.v1.Deployment",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
	"io.k8s.api.batch.v1.Job",
	"io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.core.v1.Service",
	"io.k8s.api.core.v1.ServiceAccount",
	"io.k8s.api.networking.v1.NetworkPolicy",
	"io.k8s.api.policy.v1.PodDisruptionBudget",
}

// resources are those of prometheus-operator.
var resources = []string{"prometheusrules", "servicemonitors"}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "schemas FOLDER: where the files are to be")
		os.Exit(2)
	}
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// object is a JSON object.
type object = map[string]any

func generate(folder string) error {
	of, err := download(kubernetes)
	if err != nil {
		return err
	}
	var swagger struct{ Definitions map[string]object }
	if err := read(filepath.Join(of, "api/openapi-spec/swagger.json"), json.Unmarshal, &swagger); err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := builtIn(folder, swagger.Definitions, kind); err != nil {
			return err
		}
	}
	if of, err = download(operator); err != nil {
		return err
	}
	for _, resource := range resources {
		if err := custom(folder, filepath.Join(of, "example/prometheus-operator-crd/monitoring.coreos.com_"+resource+".yaml")); err != nil {
			return err
		}
	}
	return nil
}

// download gets a module and returns its folder.
func download(module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Stderr = os.TempDir(), os.Stderr // outside of any module
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s: %w: %s", module, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", err
	}
	return found.Dir, nil
}

func read(file string, unmarshal func([]byte, any) error, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// builtIn writes the schema of a kind of Kubernetes, with the definitions that it needs.
func builtIn(folder string, all map[string]object, kind string) error {
	definition, ok := all[kind]
	if !ok {
		return fmt.Errorf("%s has no %s", kubernetes, kind)
	}
	var names []struct{ Group, Version, Kind string }
	b, err := json.Marshal(definition["x-kubernetes-group-version-kind"])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &names); err != nil || len(names) != 1 {
		return fmt.Errorf("%s has the names %s, and one is expected", kind, b)
	}
	needed := object{}
	collect(definition, all, needed)
	schema := strict(definition).(object)
	exactly(schema, names[0].Group, names[0].Version, names[0].Kind)
	schema["definitions"] = needed
	return write(folder, names[0].Kind, names[0].Group, names[0].Version, schema)
}

// custom writes the schema of a kind that prometheus-operator defines.
func custom(folder, file string) error {
	var definition struct {
		Spec struct {
			Group string
			Names struct{ Kind string }
			// one version each
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema object `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := read(file, yaml.Unmarshal, &definition); err != nil {
		return err
	}
	spec := definition.Spec
	if len(spec.Versions) != 1 {
		return fmt.Errorf("%s has %d versions, and one is expected", file, len(spec.Versions))
	}
	schema := strict(spec.Versions[0].Schema.OpenAPIV3Schema).(object)
	exactly(schema, spec.Group, spec.Versions[0].Name, spec.Names.Kind)
	return write(folder, spec.Names.Kind, spec.Group, spec.Versions[0].Name, schema)
}

// exactly has a schema accept this kind alone, and requires what every object has.
func exactly(schema object, group, version, kind string) {
	properties := schema["properties"].(object)
	properties["kind"] = object{"type": "string", "enum": []string{kind}}
	properties["apiVersion"] = object{"type": "string", "enum": []string{strings.TrimPrefix(group+"/"+version, "/")}}
	schema["required"] = []string{"apiVersion", "kind", "metadata"}
	if kind != "ConfigMap" && kind != "ServiceAccount" {
		schema["required"] = []string{"apiVersion", "kind", "metadata", "spec"}
	}
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
}

const local = "#/definitions/"

// collect adds the definitions that a schema refers to, and those that these refer to.
func collect(schema any, all map[string]object, needed object) {
	switch v := schema.(type) {
	case []any:
		for _, one := range v {
			collect(one, all, needed)
		}
	case object:
		if ref, ok := v["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, local)
			if _, there := needed[name]; !there {
				needed[name] = true // so that a definition may refer to itself
				collect(all[name], all, needed)
				needed[name] = definition(name, all[name])
			}
		}
		for _, one := range v {
			collect(one, all, needed)
		}
	}
}

// definition is the strict form of one, and of those that have a form of their own in JSON what they are there.
func definition(name string, schema object) any {
	switch name {
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		return object{"type": []string{"string", "integer"}}
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		return object{"type": []string{"string", "number"}}
	}
	return strict(schema)
}

// strict is a schema without words, which refuses fields that it does not know.
func strict(schema any) any {
	switch v := schema.(type) {
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = strict(one)
		}
		return out
	case object:
		if v["x-kubernetes-int-or-string"] == true {
			return object{"type": []string{"string", "integer"}}
		}
		out := object{}
		for key, one := range v {
			switch {
			case key == "properties":
				fields := object{}
				for name, field := range one.(object) {
					fields[name] = strict(field)
				}
				out[key] = fields
			case key == "description" && isText(one), strings.HasPrefix(key, "x-kubernetes-"), key == "format", key == "default", key == "nullable":
			default:
				out[key] = strict(one)
			}
		}
		_, has := v["properties"]
		if _, says := v["additionalProperties"]; has && !says && v["x-kubernetes-preserve-unknown-fields"] != true {
			out["additionalProperties"] = false
		}
		return out
	}
	return schema
}

func isText(v any) bool { _, ok := v.(string); return ok }

// write writes a schema under the name by which kubeconform looks for it, a line for each definition.
func write(folder, kind, group, version string, schema object) error {
	group, _, _ = strings.Cut(group, ".")
	name := strings.ToLower(strings.Join([]string{kind, group, version}, "-"))
	if group == "" {
		name = strings.ToLower(kind + "-" + version)
	}
	b, err := json.MarshalIndent(schema, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name+".json"), append(b, '\n'), 0o644)
}

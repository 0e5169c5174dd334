// Package kubernetes holds plain YAML for Kubernetes: a kustomize base, components, an example of an overlay,
// and the schemas that its tests validate them by. doc/operating.md says how to use them.
package kubernetes

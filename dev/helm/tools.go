//go:build tools

// Package tools names the Helm command line, so that go.mod and go.sum pin it.
package tools

import _ "helm.sh/helm/v3/cmd/helm"

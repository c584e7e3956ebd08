//go:build tools

// Package tools names kube-router, which enforces NetworkPolicies, so that go.mod and go.sum pin it.
package tools

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"

{{- define "entrasync.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "entrasync.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "entrasync.fullname" .) -}}
{{- end -}}

{{- define "entrasync.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{- define "entrasync.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "entrasync.labels" -}}
{{ include "entrasync.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: entrasync
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "entrasync.lockNamespace" -}}
{{- .Values.lockNamespace | default .Release.Namespace -}}
{{- end -}}

{{- define "entrasync.leaderLease" -}}
{{- printf "%s-leader" (include "entrasync.fullname" .) -}}
{{- with .Values.className -}}.{{ . }}{{- end -}}
{{- end -}}

{{- define "entrasync.subject" -}}
- kind: ServiceAccount
  name: {{ include "entrasync.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* What the operator does in each namespace it serves. */}}
{{- define "entrasync.namespacedRules" -}}
- apiGroups: [entrasync.dev]
  resources: [entratenants, activedirectories, directorysyncs, syncruns]
  verbs: [get, list, watch]
# the finalizer of deletionPolicy: Delete, and the cancelling of runs at a deletion
- apiGroups: [entrasync.dev]
  resources: [directorysyncs, syncruns]
  verbs: [patch]
- apiGroups: [entrasync.dev]
  resources: [entratenants/status, activedirectories/status, directorysyncs/status, syncruns/status]
  verbs: [patch]
# for ownerReferences with blockOwnerDeletion, where OwnerReferencesPermissionEnforcement is on
- apiGroups: [entrasync.dev]
  resources: [entratenants/finalizers, activedirectories/finalizers, directorysyncs/finalizers, syncruns/finalizers]
  verbs: [update]
- apiGroups: [entrasync.dev]
  resources: [syncruns]
  verbs: [create, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, get, list, watch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [create, get, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [create, list]
# whether it is going away
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}

{{- /* What it does that belongs to no namespace. */}}
{{- define "entrasync.clusterRules" -}}
- apiGroups: [entrasync.dev]
  resources: [azureclouds]
  verbs: [get, list, watch, create, patch]
- apiGroups: [entrasync.dev]
  resources: [azureclouds/status]
  verbs: [patch]
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
  - azureclouds.entrasync.dev
  - entratenants.entrasync.dev
  - activedirectories.entrasync.dev
  - directorysyncs.entrasync.dev
  - syncruns.entrasync.dev
  verbs: [get]
{{- end -}}

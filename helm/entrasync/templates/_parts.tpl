{{- /* Labels of what belongs to the release and to none of its pods. */}}
{{- define "entrasync.commonLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: entrasync
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "entrasync.emulatorSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: emulator
{{- end -}}

{{- define "entrasync.emulatorLabels" -}}
{{ include "entrasync.commonLabels" . }}
app.kubernetes.io/component: emulator
{{- end -}}

{{- define "entrasync.emulatorName" -}}
{{- printf "%s-emulator" (include "entrasync.fullname" . | trunc 54 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrasync.cloudsName" -}}
{{- printf "%s-clouds" (include "entrasync.fullname" . | trunc 56 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrasync.extraCA" -}}
{{- .Values.extraCA.configMap | default (printf "%s-extra-ca" (include "entrasync.fullname" . | trunc 54 | trimSuffix "-")) -}}
{{- end -}}

{{- /* Names are asked for wherever the cluster's DNS is: in a pod, on the node, behind a Service. */}}
{{- define "entrasync.dnsEgress" -}}
- ports:
  - {port: 53, protocol: UDP}
  - {port: 53, protocol: TCP}
{{- end -}}

{{- /* What holds for the pods of all runs, as variables of the operator. */}}
{{- define "entrasync.runnerVariables" -}}
{{- with .Values.imagePullSecrets }}
{{- $names := list }}
{{- range . }}{{ $names = append $names .name }}{{ end }}
- name: ENTRASYNC_RUNNER_PULL_SECRETS
  value: {{ join "," $names | quote }}
{{- end }}
{{- with .Values.proxy.httpsProxy }}
- name: ENTRASYNC_RUNNER_HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- $direct := .Values.proxy.noProxy }}
{{- if and .Values.emulator.enabled .Values.proxy.httpsProxy }}
{{- $direct = append $direct (include "entrasync.emulatorHost" .) }}
{{- end }}
{{- with $direct }}
- name: ENTRASYNC_RUNNER_NO_PROXY
  value: {{ join "," . | quote }}
{{- end }}
{{- if or .Values.extraCA.configMap .Values.extraCA.certificates }}
- name: ENTRASYNC_RUNNER_EXTRA_CA
  value: {{ printf "%s/%s" (include "entrasync.extraCA" .) .Values.extraCA.key | quote }}
{{- end }}
{{- if .Values.emulator.enabled }}
- name: ENTRASYNC_CLOUDS
  value: /etc/entrasync/clouds
{{- end }}
{{- end -}}

{{- define "entrasync.emulatorHost" -}}
{{- printf "%s.%s.svc" (include "entrasync.emulatorName" .) .Release.Namespace -}}
{{- end -}}

{{- /*
The emulator's certificate, made once: an upgrade finds it in the cluster. It is kept beside the
values, so that all templates of one rendering see the same.
*/}}
{{- define "entrasync.makeEmulatorTls" -}}
{{- if not (hasKey .Values.emulator "made") }}
{{- $tls := .Values.emulator.tls }}
{{- $name := include "entrasync.emulatorName" . }}
{{- $host := include "entrasync.emulatorHost" . }}
{{- if ne (empty $tls.secretName) (empty $tls.ca) }}
{{- fail "emulator.tls.secretName and emulator.tls.ca go together: syncs trust the certificate in the Secret by the CA" }}
{{- end }}
{{- $old := (lookup "v1" "Secret" .Release.Namespace $name).data | default dict }}
{{- $made := dict }}
{{- if $tls.ca }}
{{- $made = dict "ca" $tls.ca "crt" $tls.secretName "key" "" }}
{{- else if hasKey $old "ca.crt" }}
{{- $made = dict "ca" (index $old "ca.crt" | b64dec) "crt" (index $old "tls.crt" | b64dec) "key" (index $old "tls.key" | b64dec) }}
{{- else }}
{{- $authority := genCA "entrasync emulator CA" 3650 }}
{{- $names := list $host (printf "%s.cluster.local" $host) $name "localhost" }}
{{- $pair := genSignedCert "entrasync emulator" (list "127.0.0.1") $names 3650 $authority }}
{{- $made = dict "ca" $authority.Cert "crt" $pair.Cert "key" $pair.Key }}
{{- end }}
{{- $_ := set .Values.emulator "made" $made }}
{{- end }}
{{- end -}}

{{- define "entrasync.emulatorCloud" -}}
{{- include "entrasync.makeEmulatorTls" . -}}
{{- $host := include "entrasync.emulatorHost" . -}}
apiVersion: entrasync.dev/v1alpha1
kind: AzureCloud
metadata: {name: {{ .Values.emulator.cloudName }}}
spec:
  environment: Custom
  loginAuthority: https://{{ $host }}
  microsoftGraph: https://{{ $host }}
  syncService:
    url: https://{{ $host }}
    endpoints:
    - {version: V2, maxGroupMembers: 250000}
    - {version: V1, maxGroupMembers: 50000}
  caBundle: |
    {{- .Values.emulator.made.ca | trim | nindent 4 }}
{{- end -}}

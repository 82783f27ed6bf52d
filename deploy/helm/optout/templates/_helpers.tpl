{{- define "optout.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "optout.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "optout.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "optout.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "optout.selector" -}}
app.kubernetes.io/name: {{ include "optout.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "optout.labels" -}}
{{ include "optout.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "optout.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "optout.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "optout.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{/* Every setting by its whole name. A large number stays a number: 65536, not 6.5536e+04. */}}
{{- define "optout.settings" -}}
{{- range $name, $value := .Values.settings }}
OPTOUT_{{ $name }}: {{ if kindIs "float64" $value }}{{ printf "%v" (ternary (int64 $value) $value (eq (floor $value) $value)) | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{- define "optout.secretEnv" -}}
{{- with .Values.existingSecret }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end }}

{{/* What all pods have. */}}
{{- define "optout.pod" -}}
serviceAccountName: {{ include "optout.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with .Values.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ . }}
  {{- end }}
{{- end }}

{{/* What all containers have. */}}
{{- define "optout.container" -}}
image: {{ include "optout.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .Values.tlsSecret }}
  - name: tls
    mountPath: /etc/optout/tls
    readOnly: true
  {{- end }}
{{- end }}

{{- define "optout.envFrom" -}}
envFrom:
  - configMapRef:
      name: {{ include "optout.fullname" . }}
  {{- include "optout.secretEnv" . | nindent 2 }}
{{- end }}

{{/* One zone or host lost is not all replicas lost. Give a dict of root and component. */}}
{{- define "optout.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "optout.selector" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- end }}

{{- define "optout.podMeta" -}}
labels:
  {{- include "optout.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- if hasPrefix "worker-" .component }}
  optout/worker: "true"
  {{- end }}
  {{- with .root.Values.pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ include "optout.settings" .root | sha256sum }}
  {{- with .root.Values.pod.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The most replicas that have work: one a partition. */}}
{{- define "optout.maxReplicas" -}}
{{- $partitions := int .Values.settings.PARTITIONS }}
{{- $most := int .Values.autoscaling.maxReplicas }}
{{- if $most }}{{ min $most $partitions }}{{ else }}{{ $partitions }}{{ end }}
{{- end }}

{{/* The topics whose lag a role is scaled by. */}}
{{- define "optout.sources" -}}
match: [inbound-messages.v1, consent-commands.v1]
gate: [outbound-messages.v1]
webhooks: [webhook-deliveries.v1]
rates: [opt-out-counts.v1]
{{- end }}

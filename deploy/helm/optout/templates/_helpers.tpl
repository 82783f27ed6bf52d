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

{{/* Every setting under its full name. A large number stays a number: 65536, not 6.5536e+04. */}}
{{- define "optout.settings" -}}
{{- range $name, $value := .Values.settings }}
OPTOUT_{{ $name }}: {{ if kindIs "float64" $value }}{{ printf "%v" (ternary (int64 $value) $value (eq (floor $value) $value)) | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* The keys that each role gets from its Secret, as in deploy/acls.toml under secrets. */}}
{{- define "optout.secrets" -}}
match: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN]
gate: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN]
webhooks: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN, SECRET_KEYS]
carriers: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN, SECRET_KEYS]
rates: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN]
audit: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN]
api: [REDIS_URL, KAFKA_USERNAME, KAFKA_PASSWORD, METRICS_TOKEN, SECRET_KEYS, OPERATOR_TOKENS]
topics: [KAFKA_USERNAME, KAFKA_PASSWORD]
{{- end }}

{{/*
The variables that roles get from a Secret, and no others. Give a dict of root, of (the component's
values), roles and place (its path in the values, for errors).
*/}}
{{- define "optout.secretEnv" -}}
{{- $secret := .of.existingSecret | default .root.Values.existingSecret }}
{{- $settings := .root.Values.settings }}
{{- $sasl := hasPrefix "SASL_" ($settings.KAFKA_SECURITY_PROTOCOL | default "PLAINTEXT") }}
{{- $needs := include "optout.secrets" . | fromYaml }}
{{- $names := list }}
{{- range .roles }}{{ $names = concat $names (get $needs . | default list) }}{{ end }}
{{- if and .of.kafkaUser (not $sasl) }}
{{- fail (printf "%s.kafkaUser: settings.KAFKA_SECURITY_PROTOCOL must be SASL_SSL or SASL_PLAINTEXT for a user with a password" .place) }}
{{- end }}
{{- if and $sasl (not .of.kafkaUser) (not $secret) }}
{{- fail (printf "%s: %s needs a user and a password: give %s.kafkaUser, or a Secret by %s.existingSecret or existingSecret" .place $settings.KAFKA_SECURITY_PROTOCOL .place .place) }}
{{- end }}
{{- range uniq $names }}
{{- if and (hasPrefix "KAFKA_" .) (not $sasl) }}
{{- else if and (eq . "KAFKA_USERNAME") $.of.kafkaUser }}
- name: OPTOUT_KAFKA_USERNAME
  value: {{ $.of.kafkaUser | quote }}
{{- else if and (eq . "KAFKA_PASSWORD") $.of.kafkaUser }}
- name: OPTOUT_KAFKA_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $.of.kafkaUser }}
      key: password
{{- else if and $secret (not (hasKey $settings .)) }}
- name: OPTOUT_{{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: OPTOUT_{{ . }}
      {{- if has . (list "SECRET_KEYS" "OPERATOR_TOKENS" "METRICS_TOKEN") }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fields of all pods. Give a dict of root and of (the component's values). */}}
{{- define "optout.pod" -}}
serviceAccountName: {{ include "optout.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if has "audit" (.roles | default list) }}
  - name: audit
    {{- if .of.stateClaim }}
    persistentVolumeClaim:
      claimName: {{ .of.stateClaim }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  {{- end }}
  {{- with .of.tlsSecret | default .root.Values.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ . }}
  {{- end }}
  {{- with .of.certSecret }}
  - name: cert
    secret:
      secretName: {{ . }}
  {{- end }}
{{- end }}

{{/* Fields of all containers. Give the same dict as for the pod. */}}
{{- define "optout.container" -}}
image: {{ include "optout.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if has "audit" (.roles | default list) }}
  - name: audit
    mountPath: /var/lib/optout
  {{- end }}
  {{- if .of.tlsSecret | default .root.Values.tlsSecret }}
  - name: tls
    mountPath: /etc/optout/tls
    readOnly: true
  {{- end }}
  {{- if .of.certSecret }}
  - name: cert
    mountPath: /etc/optout/cert
    readOnly: true
  {{- end }}
{{- end }}

{{- define "optout.envFrom" -}}
envFrom:
  - configMapRef:
      name: {{ include "optout.fullname" . }}
{{- end }}

{{/* Spreads replicas, so that losing a zone or host does not lose all. Give a dict of root and component. */}}
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

{{/* The most replicas that have work: one for each partition. */}}
{{- define "optout.maxReplicas" -}}
{{- $partitions := int .Values.settings.PARTITIONS }}
{{- $most := int .Values.autoscaling.maxReplicas }}
{{- if $most }}{{ min $most $partitions }}{{ else }}{{ $partitions }}{{ end }}
{{- end }}

{{/* The topics whose lag scales a role. */}}
{{- define "optout.sources" -}}
match: [inbound-messages.v1, consent-commands.v1]
gate: [outbound-messages.v1]
webhooks: [webhook-deliveries.v1]
carriers: [reply-sends.v1, allowed-sends.v1]
rates: [opt-out-counts.v1]
{{- end }}

{{/* Sentences for NOTES about settings that are open, or grant more rights than needed. */}}
{{- define "optout.open" -}}
{{- $common := list }}
{{- $noRedis := list }}
{{- range $name, $worker := .Values.workers }}
{{- if $worker.enabled }}
{{- if and $.Values.existingSecret (not $worker.existingSecret) }}{{ $common = append $common (printf "workers.%s" $name) }}{{ end }}
{{- if not (or $.Values.existingSecret $worker.existingSecret $.Values.settings.REDIS_URL) }}{{ $noRedis = append $noRedis (printf "workers.%s" $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if .Values.api.enabled }}
{{- if and .Values.existingSecret (not .Values.api.existingSecret) }}{{ $common = append $common "api" }}{{ end }}
{{- if not (or .Values.existingSecret .Values.api.existingSecret .Values.settings.REDIS_URL) }}{{ $noRedis = append $noRedis "api" }}{{ end }}
{{- end }}
{{- with $noRedis }}
- {{ printf "%s: no existingSecret is set, so Redis is redis://127.0.0.1:6379/0, which is the pod itself." (join ", " .) | quote }}
{{- end }}
{{- if gt (len $common) 1 }}
- {{ printf "%s: all log in to Redis, and to Kafka unless kafkaUser is set, as the same user. Give each its own existingSecret, with the rights in deploy/acls.toml." (join ", " $common) | quote }}
{{- end }}
{{- $protocol := .Values.settings.KAFKA_SECURITY_PROTOCOL | default "PLAINTEXT" }}
{{- if has $protocol (list "PLAINTEXT" "SASL_PLAINTEXT") }}
- {{ printf "settings.KAFKA_SECURITY_PROTOCOL is %s: numbers and texts go to Kafka in clear text%s." $protocol (ternary ", and Kafka knows no users" "" (eq $protocol "PLAINTEXT")) | quote }}
{{- end }}
{{- if and .Values.api.enabled (not .Values.api.certSecret) (not (hasPrefix "https:" (.Values.settings.PUBLIC_URL | default ""))) }}
- "The API does not use TLS: credentials travel in clear text. Set api.certSecret, or use a proxy that terminates TLS and set settings.PUBLIC_URL to its https address."
{{- end }}
{{- if and .Values.api.enabled (ne .Values.api.service.type "ClusterIP") }}
- {{ printf "api.service.type is %s: clients outside the cluster reach the API without a proxy." .Values.api.service.type | quote }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if not .enabled }}
- "networkPolicy.enabled is false: every pod of the cluster reaches the API and the workers' pages, and pods of optout reach everything."
{{- else }}
{{- if not .kafkaTo }}
- {{ printf "networkPolicy.kafkaTo is empty: pods reach port %s of any address. Name your brokers." (join ", " .kafkaPorts) | quote }}
{{- end }}
{{- if not .redisTo }}
- {{ printf "networkPolicy.redisTo is empty: pods reach port %s of any address. Name your Redis." (join ", " .redisPorts) | quote }}
{{- end }}
{{- if not .dnsTo }}
- {{ printf "networkPolicy.dnsTo is empty: pods reach port %s of any address." (join ", " .dnsPorts) | quote }}
{{- end }}
{{- range $name, $peers := dict "apiFrom" .apiFrom "metricsFrom" .metricsFrom }}
{{- range $peers }}
{{- if and (hasKey . "namespaceSelector") (empty .namespaceSelector) (empty .podSelector) }}
- {{ printf "networkPolicy.%s lets every pod of the cluster in." $name | quote }}
{{- else if has (dig "ipBlock" "cidr" "" .) (list "0.0.0.0/0" "::/0") }}
- {{ printf "networkPolicy.%s lets every address in." $name | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

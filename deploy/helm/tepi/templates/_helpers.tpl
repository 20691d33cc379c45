{{- define "tepi.labels" -}}
app.kubernetes.io/name: tepi
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tepi.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Nobody special, nothing to write but the volumes. */ -}}
{{- define "tepi.pod" -}}
automountServiceAccountToken: false
terminationGracePeriodSeconds: 30
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tepi.container" -}}
image: {{ include "tepi.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "tepi.probes" -}}
startupProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 2, failureThreshold: 60}
livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 10, failureThreshold: 3}
readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 2, failureThreshold: 2}
{{- end }}

{{- define "tepi.token" -}}
- name: TEPI_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Release.Name }}-tokens, key: nodes}}
- name: TEPI_CONTROL
  value: http://{{ .Release.Name }}-control:8300
{{- end }}

{{- /* Announces the pod as a node, and writes its configuration with its name and a token for the first contact. */ -}}
{{- define "tepi.announce" -}}
- name: announce
  {{- include "tepi.container" .root | nindent 2 }}
  command: [sh, -euc]
  args:
    - |
      name=$(printf %s "$NODE" | tr '[:upper:].' '[:lower:]-')
      { {{ if .named }}echo "name = \"$name\""; {{ end }}cat /etc/tepi/{{ .role }}.toml; } > /run/tepi/{{ .role }}.toml
      umask 077
      {{- /* who is in the fleet stays: a container that starts again in the same pod keeps its state */}}
      if [ -e /var/lib/tepi/identity/certificate.pem ]; then exit; fi
      tepi node add "$name" --again --role {{ .role }} {{ with .place }}--place {{ . | quote }} {{ end -}}
        {{ range .addresses }}--address {{ . | quote }} {{ else }}--address "$HOST_IP" {{ end }}> /run/tepi/join-token
  env:
    {{- include "tepi.token" .root | nindent 4 }}
    - name: MACHINE
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    - name: NODE
      {{- if .node }}
      value: {{ .node | quote }}
      {{- else }}
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
      {{- end }}
    - name: HOST_IP
      valueFrom: {fieldRef: {fieldPath: status.hostIP}}
  volumeMounts:
    - {name: config, mountPath: /etc/tepi, readOnly: true}
    - {name: run, mountPath: /run/tepi}
    - {name: state, mountPath: /var/lib/tepi}
    - {name: tmp, mountPath: /tmp}
{{- end }}

{{- /* Takes a pod whose name does not come again out of the fleet when it ends. */ -}}
{{- define "tepi.farewell" -}}
- name: farewell
  {{- include "tepi.container" . | nindent 2 }}
  restartPolicy: Always
  command: [sh, -euc]
  args:
    - |
      sleep infinity & idle=$!
      trap 'kill $idle; tepi node revoke "$NODE"; exit 0' TERM
      wait
  env:
    {{- include "tepi.token" . | nindent 4 }}
    - name: NODE
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "tepi.toml.control" -}}
[control]
url = "https://{{ .Release.Name }}-control:8301"
join_token = "file:/run/tepi/join-token"
{{- end }}

// The shapes of the HTTP API (docs/api.md). Times are Unix nanoseconds and may come as text, for 2^53 is too small.

export type Ns = string | number

export type SignalName = 'logs' | 'metrics' | 'spans'
export const SIGNALS: readonly SignalName[] = ['logs', 'metrics', 'spans']

export interface IngestCounts {
  accepted: number
  rejected: number
  dropped: number
  deduplicated: number
  per_second: number
}

export interface StoredSignal {
  rows: number
  bytes: number
  segments: number
  oldest_unix_ns: Ns | null
  newest_unix_ns: Ns | null
}

export interface Learning {
  service: string
  state: 'warming' | 'watching'
  learned_s: number
  needed_s: number
  lines: number
}

export interface Status {
  version: string
  started_unix_ns: Ns
  uptime_s: number
  ready: boolean
  state: 'healthy' | 'degraded' | 'error'
  problems: string[]
  endpoints: { otlp_grpc: string; otlp_http: string; http: string }
  decoder: string
  ingest: Record<SignalName, IngestCounts>
  store: {
    folder: string
    bytes: number
    disk_free_bytes: number
    wal_bytes: number
    hot_bytes: number
    quarantined: number
    signals: Record<SignalName, StoredSignal>
  }
  pipeline: { lag_s: number; pending_batches: number; lines_mined: number; templates: number }
  learning: Learning[]
  findings: { open: number; opened_1h: number }
  incidents: { open: number; acknowledged: number; critical: number; opened_24h: number }
}

export interface LedgerRow {
  sender: string
  signal: string
  protocol: string
  requests: number
  accepted: number
  rejected: number
  dropped: number
  deduplicated: number
  refused: number
  bytes: number
  first_unix_ns: Ns
  last_unix_ns: Ns
  last_error: string
}

export interface Service {
  service: string
  logs: number
  errors: number
  spans: number
  span_errors: number
  metric_points: number
  logs_per_second: number
  last_unix_ns: Ns
  findings_open: number
  sparkline: number[]
  errors_sparkline: number[]
}

export type Attributes = Record<string, unknown>

export interface LogRecord {
  time_unix_ns: Ns
  severity_number: number
  severity: string
  service: string
  entity: string
  body: string
  body_type: number | string
  attributes: Attributes
  resource_attributes: Attributes
  scope_name: string
  trace_id: string
  span_id: string
  event_name: string
  template_id: string | null
  key: string
}

export interface LogPage {
  items: LogRecord[]
  next_cursor: string | null
  scanned: number
}

export interface Histogram {
  from: Ns
  to: Ns
  step_ns: Ns
  items: { time_unix_ns: Ns; count: number; errors: number }[]
}

export interface Pattern {
  template_id: string
  template: string
  count: number
  first_unix_ns: Ns
  last_unix_ns: Ns
  services: string[]
  severity: string
  sparkline: number[]
  examples: string[]
  /** Of one pattern: what stood in each of its gaps, the most frequent first. */
  parameters?: { position: number; distinct: number; values: { value: string; count: number }[] }[]
}

export interface Band {
  text: string
  low: number | null
  high: number | null
  unit: string
}

export interface Evidence {
  kind: string
  text: string
  time_unix_ns: Ns
  trace_id: string
  points: [Ns, number][]
}

export interface Finding {
  id: string
  kind: string
  signal: string
  service: string
  entity: string
  subject: string
  title: string
  why: string
  severity: 'info' | 'warning' | 'critical'
  score: number
  count: number
  first_unix_ns: Ns
  last_unix_ns: Ns
  expected: Band
  seen: Band
  baseline: { from_unix_ns: Ns; to_unix_ns: Ns; windows: number; lines: number }
  state: 'open' | 'closed'
  template_id: string | null
  template: string
  evidence: Evidence[]
  detected_unix_ns: Ns
  attributes: Attributes
  /** The incident that it belongs to; "" for none. */
  incident_id?: string
}

export interface FindingPage {
  items: Finding[]
  next_cursor: string | null
}

export type IncidentState = 'open' | 'acknowledged' | 'resolved' | 'merged'

export interface IncidentSummary {
  id: string
  title: string
  state: IncidentState
  severity: 'info' | 'warning' | 'critical'
  impact: string
  opened_unix_ns: Ns
  updated_unix_ns: Ns
  first_unix_ns: Ns
  last_unix_ns: Ns
  resolved_unix_ns: Ns
  resolved_by: string
  acknowledged_by: string
  merged_into: string
  reopened: number
  nodes: string[]
  services: string[]
  findings_count: number
  cause: { node: string; confidence: number; indicator: string } | null
  category: string
}

export interface IncidentPage {
  items: IncidentSummary[]
  next_cursor: string | null
}

export interface Happening {
  time_unix_ns: Ns
  kind: string
  text: string
  by: string
  finding_id: string
  count: number
  last_unix_ns: Ns
}

export interface Proof {
  id: string
  text: string
  weight: number
  signal: string
  node: string
  finding_id: string
  trace_id: string
  points: [Ns, number][]
}

export interface Cause {
  node: string
  score: number
  confidence: number
  verdict: 'supported' | 'possible' | 'refuted'
  indicators: { kind: string; name: string; score: number }[]
  evidence_for: Proof[]
  evidence_against: Proof[]
  why: string
}

export interface Ranking {
  causes: Cause[]
  abstains: boolean
  why: string
  missing: string[]
  ruled_out: [string, string][]
  fault_kind: string
}

export interface Classification {
  category: string
  probabilities: Record<string, number>
  why: string[]
  abstains: boolean
}

export interface Similar {
  incident_id: string
  title: string
  score: number
  why: string[]
  noted: string
}

/** From, to, and whether work stopped there (else `to` depends on `from`). */
export type Hop = [string, string, boolean?]

/** What diagnosis gives; each part may be missing. */
export interface Diagnosis {
  ranking?: Ranking
  classification?: Classification
  report_markdown?: string
  report_html?: string
  similar?: Similar[]
  path?: Hop[]
  window?: { baseline_from_unix_ns: Ns; onset_unix_ns: Ns; until_unix_ns: Ns; nodes: number; series: number; events: number }
  seconds?: number
}

export interface TopologyNode {
  id: string
  kind: string
  name: string
  attributes: Attributes
}

export interface TopologyEdge {
  source: string
  target: string
  kind: 'calls' | 'runs_on' | 'part_of' | 'produces_to' | 'consumes_from'
  count: number
  known_from: string[]
  attributes: Attributes
}

export interface Topology {
  from_unix_ns: Ns
  to_unix_ns: Ns
  nodes: TopologyNode[]
  edges: TopologyEdge[]
  problems: string[]
}

export interface Silence {
  id: string
  matchers: Record<string, string>
  by: string
  why: string
  from_unix_ns: Ns
  until_unix_ns: Ns
  active: boolean
}

export interface PreviewOutcome {
  incidents: number
  by_severity: Record<string, number>
  per_day: { day_unix_ns: Ns; incidents: number }[]
  examples: { title: string; severity: IncidentSummary['severity']; opened_unix_ns: Ns; services: string[]; findings_count: number; reopened: number }[]
}

export interface Preview extends PreviewOutcome {
  from_unix_ns: Ns
  to_unix_ns: Ns
  findings: number
  truncated: boolean
  present: PreviewOutcome
}

export interface ForecastLine {
  labels: Record<string, string>
  limit: number | null
  is_trend: boolean
  slope_per_s: number
  times_unix_ns: Ns[]
  low: number[]
  mid: number[]
  high: number[]
  time_to_limit_s: number | null
  earliest_s: number | null
  latest_s: number | null
}

export interface Forecast {
  name: string
  is_capacity: boolean
  unit: string
  items: ForecastLine[]
}

export interface Incident extends IncidentSummary {
  finding_ids: string[]
  findings: Finding[]
  timeline: Happening[]
  diagnosis: Diagnosis
}

export interface Metric {
  name: string
  kind: string
  unit: string
  description: string
  services: string[]
  series: number
  last_unix_ns: Ns
  attributes?: string[]
  /** What may be asked of it; the first is what tells most. */
  aggregations?: string[]
}

export interface Series {
  labels: Record<string, string>
  times_unix_ns: Ns[]
  values: (number | null)[]
}

export interface SeriesAnswer {
  step_ns: Ns
  items: Series[]
  agg?: string
  truncated?: boolean
  series_total?: number
}

export interface TraceSummary {
  trace_id: string
  root_service: string
  root_name: string
  start_unix_ns: Ns
  duration_ms: number
  spans: number
  errors: number
  services: string[]
}

export interface Span {
  span_id: string
  parent_span_id: string
  service: string
  name: string
  kind: number | string
  start_unix_ns: Ns
  duration_ns: Ns
  status_code: number | string
  status_message: string
  attributes: Attributes
  resource_attributes: Attributes
  events: unknown[]
  links: unknown[]
}

export interface SettingRow {
  name: string
  value: unknown
  default: unknown
  source: string
  help: string
}

export interface BoardMetric {
  name: string
  about: string
  higher_is_better: boolean
}

/** value, low and high end of the 95 % interval. */
export type Figure = [number | null, number | null, number | null]

export interface BoardCell {
  id: string
  model: string
  model_about?: string
  enhancement: string
  trivial: boolean
  state: 'done' | 'failed' | 'skipped' | 'not run'
  reason: string
  loses_to: string
  figures: Record<string, Figure>
  seconds: number | null
  peak_memory_bytes: number | null
  model_bytes: number | null
  date: string
  curves: Record<string, [number, number][]>
}

export interface BoardTable {
  task: string
  stage: string
  about: string
  data: string
  data_about: string
  headline: string
  metrics: BoardMetric[]
  cells: BoardCell[]
}

export interface Scoreboard {
  available: boolean
  command: string
  written: string
  machine: string
  tables: BoardTable[]
}

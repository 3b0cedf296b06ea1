// The one stream of status and findings. It ends while the tab is hidden (browsers allow few streams per host) and is
// taken up again with growing pauses when it breaks; `state` says so to everyone who looks.

import { get, streamUrl } from './api'
import { session } from './session.svelte'
import { SIGNALS, type Finding, type SignalName, type Status } from './types'

const HISTORY = 300
const HIDDEN_GRACE_MS = 15_000
const SILENCE_MS = 8_000
const PAUSE_MIN_MS = 1_000
const PAUSE_MAX_MS = 15_000

export type Rates = Record<SignalName, (number | null)[]>

class Live {
  status = $state.raw<Status | undefined>()
  state = $state<'connecting' | 'live' | 'lost'>('connecting')
  /** The time now, ticking each second: ages on the page follow it. */
  nowMs = $state(Date.now())
  heardMs = $state(0)
  /** Grows with each finding event, so that lists know to ask again. */
  findingEvents = $state(0)
  /** The same for incidents. */
  incidentEvents = $state(0)
  times = $state.raw<number[]>([])
  rates = $state.raw<Rates>({ logs: [], metrics: [], spans: [] })
  #source: EventSource | null = null
  #pauseMs = PAUSE_MIN_MS
  #retry = 0
  #hide = 0

  /** Open the stream and keep it open. */
  start(): void {
    setInterval(() => this.#tick(), 1000)
    document.addEventListener('visibilitychange', () => this.#visible())
    this.#open()
  }

  /** Open the stream anew, at once. */
  again(): void {
    this.#close()
    this.#pauseMs = PAUSE_MIN_MS
    this.#open()
  }

  #open(): void {
    clearTimeout(this.#retry)
    const source = new EventSource(streamUrl('/events'))
    this.#source = source
    source.addEventListener('status', (event) => this.#take(JSON.parse(event.data as string) as Status))
    source.addEventListener('finding', (event) => this.#finding(JSON.parse(event.data as string) as Finding))
    source.addEventListener('incident', () => (this.incidentEvents += 1))
    source.onerror = () => this.#broke()
  }

  #close(): void {
    clearTimeout(this.#retry)
    this.#source?.close()
    this.#source = null
  }

  #broke(): void {
    this.#close()
    this.state = 'lost'
    this.#retry = setTimeout(() => this.#open(), this.#pauseMs)
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MAX_MS)
    // A stream that is refused does not say why; a plain request does.
    get<Status>('/status').catch(() => undefined)
    if (session.needed) this.#close()
  }

  #take(status: Status): void {
    this.heardMs = Date.now()
    this.nowMs = this.heardMs
    this.state = 'live'
    this.#pauseMs = PAUSE_MIN_MS
    this.#remember(status)
    this.status = status
  }

  #remember(status: Status): void {
    const last = this.times.at(-1)
    const now = this.heardMs / 1000
    const gap = last !== undefined && now - last > 5
    const keep = <T>(list: T[], ...more: T[]) => [...list, ...more].slice(-HISTORY)
    this.times = gap ? keep(this.times, last + 1, now) : keep(this.times, now)
    const rates = { ...this.rates }
    for (const signal of SIGNALS) {
      const value = status.ingest[signal]?.per_second ?? 0
      rates[signal] = gap ? keep(rates[signal], null, value) : keep(rates[signal], value)
    }
    this.rates = rates
  }

  #finding(_finding: Finding): void {
    this.findingEvents += 1
  }

  #tick(): void {
    this.nowMs = Date.now()
    if (this.#source && this.state === 'live' && this.nowMs - this.heardMs > SILENCE_MS) this.#broke()
  }

  #visible(): void {
    clearTimeout(this.#hide)
    if (document.hidden) this.#hide = setTimeout(() => this.#close(), HIDDEN_GRACE_MS)
    else if (!this.#source) this.again()
  }
}

export const live = new Live()

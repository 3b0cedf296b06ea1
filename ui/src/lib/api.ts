// Requests to the API: errors as they are meant to be read, the token, integers beyond 2^53 kept whole.

import { session } from './session.svelte'

export type Params = Record<string, string | number | null | undefined>

/** What the API (or the way to it) said instead of an answer. `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly position: number | null = null,
  ) {
    super(detail || title)
  }
}

/** The address of an API path with its parameters; empty ones are left out. */
export function url(path: string, params: Params = {}): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') query.set(name, String(value))
  }
  const text = query.toString()
  return `/api/v1${path}${text ? `?${text}` : ''}`
}

/** The address of a stream of events; EventSource cannot send headers, so the token goes along. */
export function streamUrl(path: string, params: Params = {}): string {
  return url(path, session.token ? { ...params, token: session.token } : params)
}

type Reviver = (this: unknown, key: string, value: unknown, context?: { source?: string }) => unknown

const keepDigits: Reviver = (_key, value, context) =>
  typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source ? context.source : value

/** Read JSON, leaving integers that a number would round as their digits. */
export function parse(text: string): unknown {
  // The reviver costs several times the parsing, and large bare integers are rare.
  return /[:[,]\s*-?\d{16,}/.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text)
}

function problemOf(status: number, text: string): ApiError {
  try {
    const told = JSON.parse(text) as { title?: unknown; detail?: unknown; position?: unknown }
    const detail = typeof told.detail === 'string' ? told.detail : JSON.stringify(told.detail ?? '')
    const position = typeof told.position === 'number' ? told.position : null
    return new ApiError(status, String(told.title ?? `Error ${status}`), detail, position)
  } catch {
    return new ApiError(status, `Error ${status}`, text.slice(0, 500))
  }
}

/** Get an answer; throws ApiError, or the AbortError of `signal`. */
export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>(url(path, params), { signal })
}

/** Do something; throws ApiError. */
export async function post<T>(path: string, body: unknown = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>(url(path), { method: 'POST', body: JSON.stringify(body), signal })
}

/** Take something away; throws ApiError. */
export async function remove(path: string): Promise<void> {
  await ask(url(path), { method: 'DELETE' })
}

async function ask<T>(address: string, options: { method?: string; body?: string; signal?: AbortSignal }): Promise<T> {
  const token = session.token
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  if (token) headers.Authorization = `Bearer ${token}`
  let response: Response
  try {
    response = await fetch(address, { ...options, headers, credentials: 'omit' })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'No answer', 'Watchkeeper does not answer. Is it still running?')
  }
  const text = await response.text()
  if (response.ok) return (text ? parse(text) : null) as T
  if (response.status === 401) session.refused(token)
  throw problemOf(response.status, text)
}

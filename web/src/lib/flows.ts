// What the pages of the flows need to know, without a browser.

import type { Flow, FlowActivity, FlowDetail, FlowStatus, FlowStep } from './api/types'
import { span } from './format'
import { stepName } from './steps'

export const statusNames: Record<FlowStatus, string> = {
  queued: 'Queued', running: 'Running', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', abandoned: 'Abandoned',
}

export const statusTones: Record<FlowStatus, string> = {
  queued: 'warn', running: 'accent', done: 'ok', failed: 'bad', cancelled: '', abandoned: 'bad',
}

/** Whether nothing more will happen to it by itself. */
export const isOver = (status: FlowStatus): boolean => status !== 'queued' && status !== 'running'

/** A flow may be done and its video all the same not be well. */
export const isBad = (flow: Flow): boolean => flow.outcome === 'failed' || flow.outcome === 'invalid'

const flowNames: Record<string, string> = { lifecycle: 'Plugin lifecycle', postprocess: 'Post-processing' }

export const flowName = (name: string): string => flowNames[name] ?? name

/** "life-st-1.2" is the second attempt. */
export function attemptOf(id: string): number {
  const found = /\.(\d+)$/.exec(id)
  return found ? Number(found[1]) : 1
}

/** How long a flow has taken, or takes so far, in milliseconds. */
export function tookOf(flow: Flow, now: number): number {
  return Math.max(0, (flow.endedAt ? Date.parse(flow.endedAt) : now) - Date.parse(flow.createdAt))
}

/** What a flow does now, in one sentence. */
export function doingOf(doing: FlowActivity, now: number): string {
  const since = span(now - Date.parse(doing.since))
  if (doing.nextTryAt && !doing.waits) return `Try ${doing.tries} failed; the next one comes in ${span(Date.parse(doing.nextTryAt) - now)}.`
  if (doing.waits && doing.until) return `Waits since ${since}, for ${span(Date.parse(doing.until) - now)} more at most.`
  if (doing.waits) return `Waits since ${since}.`
  return doing.tries > 1 ? `Try ${doing.tries}, since ${since}.` : `Since ${since}.`
}

/** A step's part of the time that a flow took. */
export interface Share {
  name: string
  ms: number
  /** 0 to 1. */
  share: number
  bad: boolean
}

/** Where the time went: the steps that took a hundredth of it at least. */
export function shares(steps: FlowStep[]): Share[] {
  const total = steps.reduce((sum, step) => sum + step.durationMillis, 0)
  if (total === 0) return []
  return steps
    .map((step) => ({ name: step.name, ms: step.durationMillis, share: step.durationMillis / total, bad: step.state === 'failed' }))
    .filter((part) => part.share >= 0.01)
}

/** What a retry would do, for who is asked whether they want it. */
export function retryText(flow: FlowDetail): string {
  if (!flow.retry.newId) return 'It goes on under its own id. The results of the steps before are kept, and what has counted does not count twice.'
  if (flow.name === 'lifecycle') return `Its outcome has been told, so a new attempt begins: ${flow.retry.newId}. Answers that passed are kept; the other plugins are asked again.`
  return `Its outcome has been told, so a new attempt begins at the first step: ${flow.retry.newId}.`
}

/** A place to retry from, in words. */
export function placeName(flow: FlowDetail, place: string): string {
  return flow.retry.newId ? `All plugins from ${place} on` : `From “${stepName(place)}” on`
}

export const asJSON = (value: unknown): string => JSON.stringify(value, null, 2)

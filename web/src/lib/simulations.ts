// What the pages of the simulations need to know, without a browser.

import type { SimulatedVideo, Simulation } from './api/types'
import { recordings, span } from './format'
import { makingOf } from './steps'

export interface Look {
  label: string
  tone: '' | 'ok' | 'warn' | 'bad' | 'accent'
}

/** How a simulation is, in a word or two. */
export function lookOf(run: Simulation): Look {
  if (run.state === 'running') return { label: 'Running', tone: 'accent' }
  if (run.state === 'removing') return { label: 'Removing', tone: 'warn' }
  switch (run.ending) {
    case 'stopped':
      return { label: 'Stopped', tone: '' }
    case 'abandoned':
      return { label: 'Abandoned', tone: 'warn' }
    case 'overdue':
      return { label: 'Took too long', tone: 'bad' }
  }
  if (run.counts.failed + run.counts.dropped > 0) return { label: 'Finished, with failures', tone: 'bad' }
  return { label: 'Finished', tone: 'ok' }
}

/** Whether it will change by itself. */
export function moves(run: Simulation): boolean {
  return run.state === 'running' || run.state === 'removing'
}

/** That it is over, to be said. */
export function endOf(run: Simulation): string {
  return `The simulation of ${recordings(run.total)}: ${lookOf(run).label.toLowerCase()}`
}

/** What became of its videos: "3 valid · 1 invalid". */
export function tally(run: Simulation): string {
  const { valid, invalid, failed, working, waiting, dropped } = run.counts
  const parts: [number, string][] = [
    [valid, 'valid'],
    [invalid, 'invalid'],
    [failed, 'failed'],
    [working, 'in work'],
    [waiting, 'waiting'],
    [dropped, 'not finished'],
  ]
  return parts
    .filter(([n]) => n > 0)
    .map(([n, what]) => `${n} ${what}`)
    .join(' · ')
}

/** What a video is at, or what has become of it. */
export function doing(video: SimulatedVideo): string {
  switch (video.state) {
    case 'waiting':
      return 'Not replayed yet'
    case 'processing':
      return makingOf(video.step)
    case 'plugins':
      return 'With the plugins'
    case 'dropped':
      return video.reason || 'Not finished'
  }
  const said = { valid: 'Valid', invalid: 'Invalid', failed: 'Failed' }[video.state]
  return `${said} after ${span(video.whole)}${video.reason ? `: ${video.reason}` : ''}`
}

/** Whether a video's bar shows something. */
export function inWork(video: SimulatedVideo): boolean {
  return video.state === 'processing' || video.state === 'plugins'
}

/** Whether an id is a simulated video's, which only administrators see. */
export function isSimulated(id: string): boolean {
  return id.startsWith('sim-')
}
